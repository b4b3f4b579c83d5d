"""Shapes of requests and answers: the source of the OpenAPI document.

Bodies are checked against these once their JSON has been read strictly; cards themselves are not, they are
validated one by one by the worker.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

PrivacyLevel = Literal["PRIVATE", "PERSONAL", "THOUGHTS", "JOURNAL", "BUSINESS", "IDEAS"]
TaskId = Annotated[str, Field(examples=["01937b2e-7d3a-7c4e-9f00-3b1c2dffffff"])]


def _written_out(value: Any) -> Any:
    """Pydantic would also read a number as seconds since 1970."""
    if isinstance(value, str) and value[4:5] != "-":
        raise ValueError("must be an RFC 3339 time")
    return value


Moment = Annotated[datetime, BeforeValidator(_written_out)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImportOptions(_Body):
    """How an import treats its cards."""

    publish_business: bool = Field(True, description="Publish cards of privacy level BUSINESS.")
    publish_ideas: bool = Field(True, description="Publish cards of privacy level IDEAS.")
    on_duplicate: Literal["create", "skip", "update", "fail"] = Field(
        "create", description="What to do with a card that is there already, by `external_id` or by text."
    )
    error_policy: Literal["reject_failed_rows", "reject_everything"] = Field(
        "reject_failed_rows", description="Import the good cards, or none when one is bad."
    )
    dry_run: bool = Field(False, description="Take the real path, say what would happen, change nothing.")


class FileOptions(ImportOptions):
    """Options of uploaded files: query parameters."""

    preset: str | None = Field(None, description="The product the file comes from; see `/bulk/presets`.")
    default_category: str | None = Field(
        None, min_length=1, max_length=50, description="For cards that name none."
    )
    default_privacy_level: PrivacyLevel | None = Field(None, description="For cards that name none.")


class CardBody(BaseModel):
    """A card to import."""

    title: str = Field(min_length=1, max_length=1000)
    body: str = Field(max_length=1024 * 1024)
    category: str = Field(min_length=1, max_length=50)
    privacy_level: PrivacyLevel
    tags: list[str] | None = Field(None, max_length=50)
    source_platform: str | None = None
    source_url: str | None = None
    external_id: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: str | None = Field(None, description="RFC 3339")


class ImportBody(ImportOptions):
    """An import of up to 10,000 cards."""

    cards: list[CardBody] = Field(min_length=1, max_length=10_000, description="A bad card fails alone.")


class ExportBody(_Body):
    """What to export, and how."""

    card_ids: list[str] | None = None
    privacy_levels: list[str] | None = None
    categories: list[str] | None = None
    published_only: bool | None = False
    tags: list[str] | None = Field(None, description="Cards with any of them.")
    source_platforms: list[str] | None = None
    created_after: str | None = Field(None, description="RFC 3339; that moment or later.")
    created_before: str | None = None
    updated_after: str | None = None
    updated_before: str | None = None
    format: str | None = Field("json", examples=["json", "markdown", "csv", "ndjson", "zip"])
    include_metadata: bool | None = True
    compression: Literal["gzip", "zstd"] | None = None
    since: str | None = Field(
        None, description="The watermark of an earlier export: only what changed since."
    )


class DeleteBody(_Body):
    """Cards to delete."""

    card_ids: list[str] = Field(min_length=1, max_length=10_000, description="A bad id fails alone.")
    soft_delete: bool = True


class RestoreBody(_Body):
    """Softly deleted cards to bring back."""

    card_ids: list[str] = Field(min_length=1, max_length=10_000, description="A bad id fails alone.")


class Accepted(BaseModel):
    """An operation was accepted."""

    task_id: TaskId
    status: Literal["PENDING"]
    message: str
    estimated_duration_seconds: int = Field(ge=1)
    check_status_url: str


class ProgressBody(BaseModel):
    """Items processed, of how many, in whole percent."""

    current: int
    total: int
    percent: int = Field(ge=0, le=100)


class Status(BaseModel):
    """Where an operation is; fields that do not apply are absent."""

    task_id: TaskId
    status: Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE"]
    progress: ProgressBody | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    completed_at: str | None = None


class OperationLine(Status):
    """One operation in a list: the finer state, and times."""

    state: Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "CANCELLED"]
    kind: Literal["import", "export", "delete", "restore"]
    total: int
    created_at: str
    started_at: str | None = None
    parent_id: str | None = None
    dry_run: bool | None = None


class OperationPage(BaseModel):
    """One page of operations, newest first."""

    operations: list[OperationLine]
    next_page_token: str | None = None


class ItemErrorBody(BaseModel):
    """One item that failed, and the item as sent."""

    index: int
    row: int | None = None
    field: str | None = None
    code: str
    message: str
    card: Any = None


class ErrorList(BaseModel):
    """Every failed item, in input order."""

    errors: list[ItemErrorBody]


class ItemResult(BaseModel):
    """What became of one item."""

    index: int
    outcome: Literal[
        "created", "updated", "skipped", "failed", "deleted", "restored", "exported", "pending", "cancelled"
    ]
    card_id: str | None = None
    code: str | None = None


class ResultPage(BaseModel):
    """One page of results, in input order."""

    results: list[ItemResult]
    next_page_token: str | None = None


class PreviewRow(BaseModel):
    """One record of a file as the card it would become, or why it would fail."""

    index: int
    row: int | None = None
    card: Any = None
    code: str | None = None
    message: str | None = None
    field: str | None = None


class DownloadUrl(BaseModel):
    """An address that stands in for the key until it expires."""

    url: str
    expires_at: str


class Preview(BaseModel):
    """The first rows of a file as cards; nothing was stored."""

    rows: list[PreviewRow]


class PresetExample(BaseModel):
    """A small input, and the card it becomes."""

    file: str
    text: str
    card: dict[str, Any]


class PresetBody(BaseModel):
    """A product whose files can be imported."""

    name: str
    title: str
    description: str
    media_types: list[str]
    extensions: list[str]
    example: PresetExample


class PresetList(BaseModel):
    """Every preset."""

    presets: list[PresetBody]


class BalanceBody(BaseModel):
    """$EXTROPY, with eight decimals, as a string."""

    balance: str = Field(examples=["800.00000000"])


class LedgerRow(BaseModel):
    """One row of the append-only ledger."""

    card_id: str
    operation_id: str
    amount: str
    reason: str
    created_at: str


class LedgerPage(BaseModel):
    """One page of the ledger, newest first."""

    entries: list[LedgerRow]
    next_page_token: str | None = None
