"""The tape tells how many members and braces there are, or that it does not know."""

from __future__ import annotations

import pytest

from backend.formats.json_tape import Tape


@pytest.mark.parametrize(
    ("array", "members", "openings"),
    [
        (b"[]", 0, []),
        (b"[{}]", 0, [1]),
        (b'[{"a":1,"b":[{"c":1}]},{"a":1}]', 3, [1, 1]),
        (b'[{"a":1,"metadata":{}},{"a":1,"metadata":{"b":"}"}}]', 4, [2, 2]),
        (b'[{"metadata":{"a":{}}},{"metadata":null},{"a":1}]', 3, [2, 1, 1]),
        (b'[{"a":1},{"a":1,"a":1}]', 3, None),
        (b'[{"metadata":{"a":1,"a":1}},{}]', 1, None),
        (b'[{"a":1},1]', None, None),
        (b"[[]]", None, None),
        (b'[{"a":123456789012345678901}]', None, None),
        (rb'[{"a":"\ud800"}]', None, None),
        (b'[{"a":1e999}]', None, None),
        (b"[{]", None, None),
    ],
)
def test_what_it_tells_it_can_tell_again(array, members, openings):
    """Nothing of what it read before keeps it from reading on."""
    tape = Tape()
    for _ in range(2):
        assert tape.members(array) == members
        assert tape.openings(array) == openings
