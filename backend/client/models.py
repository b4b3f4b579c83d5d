"""What the calls give back. Each keeps the whole answer in ``raw``, with what a newer server adds."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Literal, NotRequired, TypedDict

FINAL_STATES = frozenset({"SUCCESS", "FAILURE"})

PrivacyLevel = Literal["PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS"]
OnDuplicate = Literal["create", "skip", "update", "fail"]
ErrorPolicy = Literal["reject_failed_rows", "reject_everything"]


class Card(TypedDict):
    """A card as ``import_cards`` takes it."""

    title: str
    body: str
    category: str
    privacy_level: str
    tags: NotRequired[list[str]]
    source_platform: NotRequired[str]
    source_url: NotRequired[str]
    external_id: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]
    created_at: NotRequired[str]


class ImportOptions(TypedDict, total=False):
    """How to import; what is left out is the server's default.

    publish_business, publish_ideas: publish cards of that privacy level (default: both).
    on_duplicate: what to do with a card whose ``external_id`` is known.
    error_policy: import the good cards, or none if one is bad.
    dry_run: say what would happen; change nothing.
    idempotency_key: made up when left out; the same key never imports twice.
    """

    publish_business: bool
    publish_ideas: bool
    on_duplicate: OnDuplicate
    error_policy: ErrorPolicy
    dry_run: bool
    idempotency_key: str


class FileOptions(ImportOptions, total=False):
    """Further options of files.

    media_type: by the file's extension when left out. preset: the product the file comes from.
    default_category, default_privacy_level: for cards of a file that do not say.
    compress: compress while sending (files that are compressed already are sent as they are).
    """

    media_type: str
    preset: str
    default_category: str
    default_privacy_level: str
    compress: Literal["gzip", "zstd"]


@dataclass(frozen=True, slots=True)
class Operation:
    """An accepted operation (202). ``is_replay``: the answer to an earlier, equal request."""

    id: str
    message: str = ""
    estimated_duration_seconds: int | None = None
    is_replay: bool = False
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """Items done, of how many, in whole percent."""

    current: int
    total: int
    percent: int


@dataclass(frozen=True, slots=True)
class Status:
    """Where an operation is. ``result`` is there when it is over, ``error`` when it failed."""

    id: str
    state: str
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    completed_at: str | None = None
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_success(self) -> bool:
        return self.state == "SUCCESS"


@dataclass(frozen=True, slots=True)
class OperationSummary:
    """One line of the list of operations. ``state`` is the finer one (it tells CANCELLED apart)."""

    id: str
    kind: str
    state: str
    created_at: str | None = None
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ItemError:
    """One item that failed. ``card`` is the item as it was sent."""

    index: int
    code: str
    message: str
    field: str | None = None
    row: int | None = None
    card: Any = None
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item: ``created``, ``updated``, ``skipped``, ``failed``, …"""

    index: int
    outcome: str
    card_id: str | None = None
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Balance:
    """$EXTROPY, as a decimal number with 8 places in a string: never a float."""

    balance: str
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the append-only ledger. ``amount`` as in ``Balance``."""

    amount: str
    reason: str
    card_id: str | None = None
    operation_id: str | None = None
    created_at: str | None = None
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret."""

    id: str
    name: str
    prefix: str
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: ``key`` is the secret, shown this once."""

    id: str
    prefix: str
    key: str = attribute(repr=False)
    raw: dict[str, Any] = attribute(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that arrived whole. ``sha256`` in hex; ``file_name`` as the server suggests it."""

    bytes: int
    sha256: str
    file_name: str | None = None
    media_type: str | None = None
