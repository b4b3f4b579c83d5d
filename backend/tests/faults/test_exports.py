"""An export is killed again and again (a hundred times with ``--long``): a complete file or none."""

from __future__ import annotations

import hashlib
import json
import secrets
from random import Random
from uuid import UUID

import pytest

from backend.artifacts.store import open_store
from backend.core.ids import new_operation_id
from backend.operations.exporting import run_export
from backend.tests.faults.victim import killed_after
from backend.tests.support import hostile

CARDS = 300


def export(owner: UUID) -> None:
    """What the victim does."""
    run_export(owner, new_operation_id(), {"format": "json"})


@pytest.mark.faults
@pytest.mark.slow
def test_killed_at_any_moment_an_export_is_a_complete_file_or_none(owner, database, request):
    kills = 100 if request.config.getoption("--long") else 20
    seed = secrets.randbelow(1_000_000)
    print(f"seed {seed}")
    random = Random(seed)
    hostile.insert(owner, [card | {"body": "x" * 10_000} for card in hostile.cards(CARDS)])
    killed_after(10, export, owner)  # the first one imports what is not imported yet
    was_killed, whole = killed_after(60, export, owner)
    assert not was_killed
    store, seen = open_store(), set()
    complete = killed = 0
    while killed < kills:
        was_killed, _ = killed_after(random.uniform(0, whole), export, owner)
        killed += was_killed
        for listed in store.list():
            if listed.key in seen:
                continue
            seen.add(listed.key)
            stored = store.head(listed.key)
            if stored is None:  # without its digest it is not there: nobody is ever shown it
                continue
            content = b"".join(store.read(listed.key))
            assert hashlib.sha256(content).hexdigest() == stored.sha256
            assert len(json.loads(content)) == CARDS
            complete += 1
    print(f"{killed} kills over {whole:.2f} s each, {complete} complete files")
    assert complete >= 1  # so that the look into them was one
