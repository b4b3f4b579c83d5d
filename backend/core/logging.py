"""Structured logs, one JSON object a line, with request and operation ids bound.

A line never holds a newline of somebody else's text: JSON escapes it, and the console renderer gets
control characters escaped first, and tracebacks indented. Secrets are not logged anywhere; names that look
like them are masked.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, TextIO

import structlog

from backend.core.settings import get_settings

_SECRET_NAMES = ("password", "secret", "authorization", "api_key", "pepper", "token")
_MASK = "***"


def configure(component: str) -> None:
    """Log to standard error, in the settings' format, from here and from the standard library alike.

    Args:
        component: api, worker, beat or cli; bound to every line.
    """
    settings = get_settings()
    level = logging.getLevelName(settings.log_level.upper())
    level = level if isinstance(level, int) else logging.INFO
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    if settings.log_format == "json":
        rendering: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        rendering = [
            _escape_controls,
            structlog.dev.ConsoleRenderer(
                colors=False,
                exception_formatter=_indented_traceback,
            ),
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                _component(component),
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendering,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "kombu"):
        logging.getLogger(noisy).handlers.clear()
        logging.getLogger(noisy).propagate = True


def _indented_traceback(written: TextIO, exc_info: Any) -> None:
    """Without locals, which hold what nobody should read; no line of it can pass for a line of the log."""
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    written.writelines(f"\n  | {_escaped(line)}" for line in plain.getvalue().rstrip("\n").split("\n"))


def _component(name: str) -> Any:
    def add(_: Any, __: str, line: dict[str, Any]) -> dict[str, Any]:
        line.setdefault("component", name)
        return line

    return add


def _mask_secrets(_: Any, __: str, line: dict[str, Any]) -> dict[str, Any]:
    for name in line:
        if any(secret in name.lower() for secret in _SECRET_NAMES):
            line[name] = _MASK
    return line


def _escape_controls(_: Any, __: str, line: dict[str, Any]) -> dict[str, Any]:
    return {name: _escaped(value) if isinstance(value, str) else value for name, value in line.items()}


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
