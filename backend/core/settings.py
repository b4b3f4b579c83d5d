"""Every environment variable, read in one place.

Names are unprefixed and upper case (``DATABASE_URL``). ``get_settings()`` is called where a value is
needed, never at import time. ``extrophi doctor --settings`` lists all of them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024
GIB = 1024 * MIB
DAY = 86_400


class Settings(BaseSettings):
    """The whole configuration, each value with its default and unit."""

    model_config = SettingsConfigDict(env_file=None, extra="ignore", frozen=True)

    # --- servers ---------------------------------------------------------------------------------
    # Addresses may carry passwords: no repr shows them.
    database_url: str = Field(
        "postgresql://localhost:5432/extrophi", repr=False, description="PostgreSQL 15 to 18."
    )
    redis_url: str = Field("redis://localhost:6379/0", repr=False, description="Redis 6.2 to 8 or Valkey 8.")
    celery_broker_url: str | None = Field(
        None, repr=False, description="Celery's broker; REDIS_URL when unset."
    )
    celery_result_backend: str | None = Field(
        None, repr=False, description="Read for compatibility; results live in PostgreSQL, so none is needed."
    )
    public_base_url: str = Field("https://extrophi.ai", description="Start of every published_url.")
    data_dir: Path = Field(Path(".data"), description="Export files and uploads in flight.")
    environment: Literal["development", "production"] = Field("development", description="Shown in logs.")
    log_level: str = Field("INFO", description="Standard level name.")
    log_format: Literal["json", "console"] = Field("json", description="How log lines are rendered.")

    # --- PostgreSQL ------------------------------------------------------------------------------
    db_pool_size: int = Field(10, ge=1, description="Connections kept by one API process.")
    db_pool_overflow: int = Field(10, ge=0, description="Connections beyond the pool, under load.")
    db_pool_timeout_seconds: float = Field(2.0, description="Wait for a connection before 503.")
    db_connect_timeout_seconds: int = Field(2, ge=1, description="TCP and start-up of a connection.")
    db_statement_timeout_seconds: int = Field(300, description="A statement of a worker.")
    api_statement_timeout_seconds: int = Field(30, description="A statement of an API request.")
    db_lock_timeout_seconds: int = Field(30, description="Waiting for a lock before a transient error.")
    db_idle_in_transaction_timeout_seconds: int = Field(
        60, description="A stopped worker loses its session, and with it its part, after this."
    )

    # --- the engine ------------------------------------------------------------------------------
    max_cards_per_request: int = Field(10_000, description="Cards or ids in one JSON request.")
    max_cards_per_file: int = Field(1_000_000, description="Cards in one uploaded file.")
    part_min_items: int = Field(100, ge=1, description="Smallest part, so that small imports show progress.")
    part_max_items: int = Field(2_500, ge=1, description="Largest part.")
    part_max_bytes: int = Field(16 * MIB, description="A part is cut earlier when its records are this big.")
    parts_wanted: int = Field(4, ge=1, description="An operation is cut into at least this many parts.")
    runners_per_operation: int = Field(4, ge=1, description="Most runners woken for one operation.")
    running_parts_per_owner: int = Field(4, ge=1, description="Parts of one owner that run at once.")
    running_long_parts_per_owner: int = Field(
        2, ge=1, description="Of these, exports and all-or-nothing imports: one part is all of them."
    )
    runner_slice_seconds: float = Field(30.0, description="A runner hands over after this long.")
    part_max_attempts: int = Field(4, description="Starts of one part: the first and three retries.")
    retry_backoff_seconds: float = Field(1.0, description="First backoff; doubles with each attempt.")
    sweep_seconds: float = Field(5.0, description="How often what should run is woken.")
    task_soft_time_limit_seconds: int = Field(3_300, description="Celery's soft limit (55 minutes).")
    task_time_limit_seconds: int = Field(3_600, description="Celery's hard limit (1 hour).")
    worker_concurrency: int | None = Field(None, description="Worker children; cores + 1 when unset.")

    # --- per-owner limits ------------------------------------------------------------------------
    max_running_operations: int = Field(4, description="Operations of one owner that run side by side.")
    max_waiting_operations: int = Field(1_000, description="Unfinished operations per owner; 429 beyond.")
    rate_limit_requests_per_minute: int = Field(6_000, description="Requests per key.")
    rate_limit_operations_per_minute: int = Field(120, description="Bulk operations per key.")
    quota_cards_per_hour: int = Field(5_000_000, description="Cards per owner.")
    rate_limit_enabled: bool = Field(True, description="Off only for load tests.")
    max_keys_per_owner: int = Field(100, ge=1, description="Active API keys of one owner; 409 beyond.")

    # --- bodies ----------------------------------------------------------------------------------
    max_json_body_bytes: int = Field(64 * MIB, description="A JSON request body.")
    max_upload_bytes: int = Field(2 * GIB, description="An uploaded file, as sent.")
    max_decoded_bytes: int = Field(8 * GIB, description="An uploaded file, decompressed.")
    max_decompression_ratio: int = Field(100, description="Decoded bytes per byte sent, after 1 MiB.")
    max_archive_entries: int = Field(1_000_000, description="Files in an uploaded archive.")
    max_json_depth: int = Field(64, description="Nesting of a JSON body.")
    body_idle_timeout_seconds: float = Field(30.0, description="A sender that stays silent this long is cut.")
    body_total_timeout_seconds: float = Field(3_600.0, description="A whole body must have arrived by then.")

    # --- artifacts and retention -----------------------------------------------------------------
    artifact_url: str | None = Field(
        None,
        description="Export files: file:///path or s3://bucket/prefix; else DATA_DIR/artifacts.",
    )
    export_streams: int = Field(
        2, ge=1, le=8, description="Connections that read one large export side by side, beside its own."
    )
    artifact_retention_seconds: int = Field(7 * DAY, description="Export files.")
    item_error_retention_seconds: int = Field(30 * DAY, description="Item errors and results.")
    idempotency_retention_seconds: int = Field(DAY, description="Idempotency keys.")
    operation_retention_seconds: int = Field(365 * DAY, description="Operations that are over.")
    download_url_seconds: int = Field(3_600, description="How long a signed download URL works.")

    # --- keys and secrets ------------------------------------------------------------------------
    api_key_pepper: SecretStr = Field(
        SecretStr("extrophi-development-pepper"),
        description="HMAC key of API keys; set it in production.",
    )
    cors_allow_origins: str = Field("", description="Comma-separated origins; empty: CORS is off.")
    health_cache_seconds: float = Field(0.5, description="How long a health answer is reused.")
    prometheus_multiproc_dir: Path | None = Field(
        None,
        description="An empty folder that several API processes share, so that /metrics adds them up.",
    )

    # --- faults (tests only) ---------------------------------------------------------------------
    failpoint: str | None = Field(None, description="Name of the failpoint that is on; tests only.")

    @property
    def broker_url(self) -> str:
        """The URL that Celery publishes to."""
        return self.celery_broker_url or self.redis_url

    @property
    def sqlalchemy_url(self) -> str:
        """``database_url`` with the psycopg driver named, as SQLAlchemy wants it."""
        for prefix in ("postgresql+psycopg://", "postgresql://", "postgres://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url[len(prefix) :]
        raise ValueError("DATABASE_URL must start with postgresql://")

    @property
    def libpq_url(self) -> str:
        """``database_url`` as libpq and psycopg read it."""
        return "postgresql://" + self.sqlalchemy_url.split("://", 1)[1]


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Tests call ``get_settings.cache_clear()``."""
    return Settings()
