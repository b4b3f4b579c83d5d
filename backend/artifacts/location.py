"""Where artifacts live: ``ARTIFACT_URL``, or a folder below ``DATA_DIR``.

``s3://bucket/prefix`` takes its credentials and region from the usual ``AWS_*`` variables; a server that is
not Amazon's can stand in the same setting: ``s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from obstore.store import LocalStore, ObjectStore, from_url

from backend.core.settings import Settings

# A store that does not answer is a transient error soon, not a worker that hangs.
_TIMEOUTS = {"connect_timeout": "5s", "timeout": "60s"}
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_PARAMETERS = {"endpoint", "region"}


@dataclass(frozen=True, slots=True)
class Location:
    """An object store, and the local folder it stands on where it is one."""

    store: ObjectStore
    folder: Path | None


def locate(settings: Settings) -> Location:
    """The place that the settings name. Nothing is contacted yet; a local folder is made.

    Raises:
        ValueError: when ``ARTIFACT_URL`` cannot be read.
    """
    url = settings.artifact_url
    if not url:
        return _folder(settings.data_dir / "artifacts")
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise ValueError("ARTIFACT_URL: a file URL names no host, for example file:///var/lib/extrophi")
        return _folder(Path(unquote(parts.path)))
    options: dict[str, Any] = {"client_options": dict(_TIMEOUTS), "retry_config": dict(_RETRIES)}
    if parts.scheme in ("s3", "s3a"):
        options |= _s3(parts.query)
        url = url.partition("?")[0]
    return Location(from_url(url, **options), None)


def _folder(path: Path) -> Location:
    path = path.expanduser().absolute()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Location(LocalStore(path, mkdir=True), path)


def _s3(query: str) -> dict[str, Any]:
    given = parse_qs(query, strict_parsing=bool(query))
    if unknown := given.keys() - _PARAMETERS:
        raise ValueError(f"ARTIFACT_URL: unknown parameter {sorted(unknown)[0]}")
    options: dict[str, Any] = {name: values[0] for name, values in given.items()}
    if options.get("endpoint", "").startswith("http://"):
        options["client_options"] = _TIMEOUTS | {"allow_http": True}
    return options
