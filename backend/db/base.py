"""Metadata, naming convention and column types."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import MetaData, Numeric
from sqlalchemy.types import UserDefinedType

# Names that migrations can rely on.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)

# $EXTROPY amounts: exact, eight decimals.
TOKENS: Numeric[Decimal] = Numeric(20, 8)


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id; the watermark of incremental exports."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "XID8"
