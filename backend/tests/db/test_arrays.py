"""Array literals give back what was put into them."""

from __future__ import annotations

from uuid import uuid4

import psycopg

from backend.db.arrays import text_array, uuid_array


def test_texts_and_ids_come_back_as_they_were(database: str) -> None:
    texts = ["", "a", "NULL", "null", "{}", ",", '"', "\\", '\\"', "a b", "\t\n", "😀", "'; --"]
    ids = [uuid4() for _ in range(3)]
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT %s::text[], %s::text[], %s::uuid[], %s::uuid[]",
            (
                text_array(texts),
                text_array([]),
                uuid_array(map(str, ids)),
                uuid_array(one.hex for one in ids),
            ),
        ).fetchone()
    assert row == (texts, [], ids, ids)
