"""Times as exports write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cards.reading import read_card
from backend.formats.presets.times import read_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01 10:00:00+00:00", "2024-05-01T10:00:00+00:00"),
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00+00:00"),
        ("2024-05-01T10:00:00+03:00", "2024-05-01T07:00:00+00:00"),
        ("2026-01-27 05:56:46.123456+00:00", "2026-01-27T05:56:46.123456+00:00"),
        ("2024-02-29", "2024-02-29T00:00:00+00:00"),
        ("2024-02-29 10:00:00 UTC", "2024-02-29T10:00:00+00:00"),
        ("January 5, 2024 3:04 PM", "2024-01-05T15:04:00+00:00"),
        ("December 31, 2023 12:00 AM", "2023-12-31T00:00:00+00:00"),
        ("Jan 5, 2024", "2024-01-05T00:00:00+00:00"),
        ("5 January 2024", "2024-01-05T00:00:00+00:00"),
        ("January 5, 2024 3:04 PM (GMT+1)", "2024-01-05T14:04:00+00:00"),
        ("2024/01/05 15:04", "2024-01-05T15:04:00+00:00"),
        ("January 5, 2024 → January 7, 2024", "2024-01-05T00:00:00+00:00"),
        ("Wed Oct 10 20:19:24 +0000 2018", "2018-10-10T20:19:24+00:00"),
        ("Wed Oct 10 20:19:24 +0530 2018", "2018-10-10T14:49:24+00:00"),
    ],
)
def test_it_is_read_as_utc(text: str, expected: str) -> None:
    assert read_time(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "May", "soon", "2024", "31 February 2024", "2024-02-30", "13:00", "Foo 5, 2024", "1700000000", "٣"],
)
def test_what_is_no_time_is_not_guessed(text: str) -> None:
    assert read_time(text) is None


_times = st.one_of(
    st.text(max_size=90),
    st.datetimes(timezones=st.none() | st.timezones()).map(str),
    st.from_regex(r"[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d{2} ?[AP]M", fullmatch=True),
    st.from_regex(r"\d{4}/\d{1,2}/\d{1,2} \d{2}:\d{2}[+-]\d{4}", fullmatch=True),
)


@given(_times)
def test_whatever_is_read_is_a_time_that_a_card_takes(text: str) -> None:
    when = read_time(text)
    if when is not None:
        card = read_card(
            b'{"title":"t","body":"","category":"c","privacy_level":"PRIVATE","created_at":"%s"}'
            % when.encode()
        )
        assert getattr(card, "created_at", None) is not None
