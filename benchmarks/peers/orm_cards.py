"""An import worker as usually written with an ORM: ``python -m benchmarks.peers.orm_cards URL``.

Pydantic checks each card, ``session.add`` takes it and the ledger row of a published one, a commit follows
every 100 cards (the documented batch); an export loads the objects and writes one ``json.dumps``. It does
what the service does (validation, publishing, ledger, balance) without its queue, parts and exactly-once
effects; a card that PostgreSQL refuses takes the other 99 of its batch with it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from sqlalchemy import ForeignKey, Numeric, Text, create_engine, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from uuid_utils.compat import uuid4, uuid7

from benchmarks.peers.conversation import serve

BATCH = 100
FORMATS = ("json",)
PUBLIC = {"BUSINESS", "IDEAS"}


class CardModel(BaseModel):
    """What a card must look like."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=1000)
    body: str = Field(max_length=1_048_576)
    category: str = Field(min_length=1, max_length=50)
    privacy_level: Literal["PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS"]
    tags: list[str] = Field(default=[], max_length=50)
    source_platform: str | None = Field(default=None, max_length=100)
    source_url: HttpUrl | None = None
    external_id: str | None = Field(default=None, min_length=1, max_length=255)
    metadata: dict[str, Any] = {}


class Base(DeclarativeBase):
    """The peer's own mapping of the service's tables."""


class User(Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    extropy_balance: Mapped[Decimal] = mapped_column(Numeric(20, 8))


class Card(Base):
    __tablename__ = "cards"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    fingerprint: Mapped[UUID]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    is_published: Mapped[bool]
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    privacy_level: Mapped[str] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    source_platform: Mapped[str | None] = mapped_column(Text)
    source_url: Mapped[str | None] = mapped_column(Text)
    external_id: Mapped[str | None] = mapped_column(Text)
    published_url: Mapped[str | None] = mapped_column(Text)
    card_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB)


class Award(Base):
    __tablename__ = "extropy_ledger"

    card_id: Mapped[UUID] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    operation_id: Mapped[UUID]
    created_at: Mapped[datetime]
    amount: Mapped[Decimal] = mapped_column(Numeric(20, 8))


def import_cards(session: Session, path: str, owner: UUID) -> int:
    """Import a JSON file of cards; how many were imported. Bad cards are collected in a list."""
    with open(path, "rb") as file:
        records = json.load(file)["cards"]
    user = session.get_one(User, owner)
    operation = uuid4()
    imported, errors = 0, []
    for index, record in enumerate(records):
        try:
            card = CardModel.model_validate(record)
        except ValidationError as error:
            errors.append({"index": index, "error": str(error)})
            continue
        _add(session, user, operation, card)
        imported += 1
        if imported % BATCH == 0:
            session.commit()
    session.commit()
    session.expunge_all()
    return imported


def _add(session: Session, user: User, operation: UUID, card: CardModel) -> None:
    now = datetime.now(UTC)
    new = Card(
        id=uuid7(),
        user_id=user.id,
        fingerprint=UUID(bytes=_fingerprint(card)),
        created_at=now,
        updated_at=now,
        is_published=card.privacy_level in PUBLIC,
        title=card.title,
        body=card.body,
        category=card.category,
        privacy_level=card.privacy_level,
        tags=card.tags,
        source_platform=card.source_platform,
        source_url=str(card.source_url) if card.source_url else None,
        external_id=card.external_id,
        card_metadata=card.metadata,
    )
    session.add(new)
    if new.is_published:
        new.published_at = now
        new.published_url = f"https://example.com/cards/{_slug(card.title)}-{new.id}"
        one = Decimal(1)
        session.add(
            Award(
                card_id=new.id,
                reason="card_published",
                user_id=user.id,
                operation_id=operation,
                created_at=now,
                amount=one,
            )
        )
        user.extropy_balance += one


def _fingerprint(card: CardModel) -> bytes:
    same = card.external_id if card.external_id is not None else f"{card.title}\0{card.body}"
    return hashlib.blake2b(same.encode(), digest_size=16).digest()


def _slug(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")[:60]


def export_cards(session: Session, path: str, owner: UUID) -> int:
    """Write the owner's cards as one JSON array; how many."""
    cards = session.scalars(select(Card).where(Card.user_id == owner).order_by(Card.id)).all()
    found = [
        {
            "id": str(card.id),
            "title": card.title,
            "body": card.body,
            "category": card.category,
            "privacy_level": card.privacy_level,
            "tags": card.tags,
            "source_platform": card.source_platform,
            "source_url": card.source_url,
            "external_id": card.external_id,
            "metadata": card.card_metadata,
            "is_published": card.is_published,
            "published_url": card.published_url,
            "published_at": card.published_at.isoformat() if card.published_at else None,
            "created_at": card.created_at.isoformat(),
            "updated_at": card.updated_at.isoformat(),
        }
        for card in cards
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(found))
    session.rollback()
    session.expunge_all()
    return len(found)


def main() -> None:
    """Answer ``import``, ``export`` and ``ready`` until the input is closed."""
    url = sys.argv[1].replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url)

    def import_file(path: str, owner: str) -> int:
        with Session(engine) as session:
            return import_cards(session, path, UUID(owner))

    def export_file(path: str, owner: str) -> int:
        with Session(engine) as session:
            return export_cards(session, path, UUID(owner))

    def ready() -> int:
        with engine.connect():
            return 0

    serve({"import": import_file, "export": export_file, "ready": ready})


if __name__ == "__main__":
    main()
