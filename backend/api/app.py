"""The API: routes, middleware and errors put together."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from backend.api import links, metrics, problems, schemas
from backend.api.bodies import clean_uploads
from backend.api.middleware import AroundRequests
from backend.api.routes import audit, bulk, downloads, imports, keys, operations, pages, system, tokens
from backend.core import logging, process
from backend.core.settings import get_settings
from backend.db import session
from backend.queue import dispatch

DESCRIPTION = """Import, export and delete up to 10,000 cards in one request, a million in one file,
asynchronously: true progress, an error for every bad card, one $EXTROPY token for every card published."""

# Bodies that are read by hand, and so are not in any route's signature.
_BODIES: tuple[type[BaseModel], ...] = (
    schemas.ImportBody,
    schemas.ExportBody,
    schemas.DeleteBody,
    schemas.RestoreBody,
    problems.Problem,
)

# Python's 5 ms, four times per request, is what a status call would wait beside a body being taken apart.
_SWITCH_SECONDS = 0.0005


def create_app() -> FastAPI:
    """The application. Makes no connection before it is started."""
    app = FastAPI(
        title="Extrophi Bulk",
        version=version("extrophi-bulk"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for module in (bulk, imports, operations, downloads, tokens, keys, audit, system, pages):
        app.include_router(module.router)
    problems.install(app)
    origins = [one.strip() for one in get_settings().cors_allow_origins.split(",") if one.strip()]
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(AroundRequests)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    settings = get_settings()
    sys.setswitchinterval(_SWITCH_SECONDS)
    process.keep_memory()
    logging.configure("api")
    session.configure(
        statement_timeout_seconds=settings.api_statement_timeout_seconds, application="extrophi api"
    )
    dispatch.configure_producer()
    metrics.install()
    clean_uploads(settings)
    yield
    session.dispose()


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        known = document.setdefault("components", {}).setdefault("schemas", {})
        for model in _BODIES:
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            known.update(schema.pop("$defs", {}))
            known[model.__name__] = schema
        links.add(document)
        app.openapi_schema = document
    return app.openapi_schema
