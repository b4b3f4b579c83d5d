"""Watermarks of incremental exports: which transactions an export has seen.

A watermark is the export's own snapshot (``pg_current_snapshot()``) and the identity of the database it was
taken in. ``cards.changed_xid`` is the transaction that last changed a card. A later export carries the cards
whose ``changed_xid`` that snapshot did not see: exactly what was committed since, also by a transaction that
had begun long before (times and sequences would skip it), and nothing twice.

Transaction ids are 64 bits (``xid8``) and never wrap. They mean nothing in another database: after a dump
and restore, a failover or a restore to an earlier time they may even run backwards. So a watermark of
another cluster, timeline, database or incarnation of the table is refused (410), and a full export starts
the chain anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise

from backend.core.errors import FieldError, Gone, ValidationFailed

_VERSION = "1"
_MAX_TOKEN = 65_536
_TOKEN = re.compile(r"(?P<version>\d)\.(?P<identity>[0-9a-f]{16})\.(?P<snapshot>\d{1,19}:\d{1,19}:[\d,]*)\Z")

# The first column tells this database from every other one, the second is the snapshot.
READ = """
    SELECT concat_ws('/',
            (SELECT system_identifier FROM pg_control_system()),
            left(pg_walfile_name(pg_current_wal_lsn()), 8),
            (SELECT oid FROM pg_database WHERE datname = current_database()),
            'cards'::regclass::oid, pg_relation_filenode('cards')),
        pg_current_snapshot()::text
"""
# %(since)s is the snapshot of the earlier export.
CHANGED = (
    "changed_xid >= pg_snapshot_xmin(%(since)s::pg_snapshot) "
    "AND NOT pg_visible_in_snapshot(changed_xid, %(since)s::pg_snapshot)"
)


@dataclass(frozen=True, slots=True)
class Watermark:
    """Identity of a database (16 hexadecimal digits) and one snapshot of it, ``xmin:xmax:xip,…``."""

    identity: str
    snapshot: str

    def token(self) -> str:
        """As callers carry it: opaque, safe in a URL."""
        text = f"{_VERSION}.{self.identity}.{self.snapshot}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def check(self, here: Watermark) -> None:
        """Whether ``self``, given by a caller, can be continued in the database that ``here`` is of.

        Raises:
            Gone: it was taken in another database, or in a future that was undone.
        """
        if self.identity != here.identity or _end(self.snapshot) > _end(here.snapshot):
            raise Gone(
                "This watermark is of another database, or of one restored since. Export everything again.",
                code="watermark_gone",
            )


def taken(identity: str, snapshot: str) -> Watermark:
    """From a row of ``READ``."""
    return Watermark(hashlib.sha256(identity.encode()).hexdigest()[:16], snapshot)


def read_token(token: object) -> Watermark:
    """What a caller gave as ``since``.

    Raises:
        ValidationFailed: when it is no watermark.
    """
    found = None
    if isinstance(token, str) and len(token) <= _MAX_TOKEN:
        try:
            text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            found = _TOKEN.match(text.decode("ascii"))
        except (ValueError, binascii.Error):
            found = None
    if found is None or found["version"] != _VERSION or not _is_snapshot(found["snapshot"]):
        problem = FieldError("/since", "is not a watermark that an export returned")
        raise ValidationFailed("Request body is not valid", errors=(problem,))
    return Watermark(found["identity"], found["snapshot"])


def _end(snapshot: str) -> int:
    return int(snapshot.split(":")[1])


def _is_snapshot(text: str) -> bool:
    """PostgreSQL's own rules: 0 < xmin <= xmax, and the running ones between them, ascending."""
    first, last, running = text.split(":")
    ids = running.split(",") if running else []
    if not all(ids):
        return False
    numbers = [int(one) for one in ids]
    low, high = int(first), int(last)
    in_order = all(a < b for a, b in pairwise(numbers))
    return 0 < low <= high < 1 << 63 and in_order and all(low <= one < high for one in numbers)
