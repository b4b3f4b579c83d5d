"""The API's own pages: the documentation, from our files only, without a line of inline script."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

router = APIRouter(include_in_schema=False)
_STATIC = files("backend.api") / "static"
_MEDIA = {"docs.css": "text/css; charset=utf-8", "docs.js": "text/javascript; charset=utf-8"}
_CACHED = {"Cache-Control": "public, max-age=300"}


@router.get("/")
def to_documentation() -> RedirectResponse:
    """The front door leads to the documentation."""
    return RedirectResponse("/docs", 307)


@router.get("/docs")
def show_documentation() -> Response:
    """The OpenAPI document, drawn."""
    return Response((_STATIC / "docs.html").read_bytes(), media_type="text/html; charset=utf-8")


@router.get("/docs/{name}")
def show_file(name: Literal["docs.css", "docs.js"]) -> Response:
    """What that page needs."""
    return Response((_STATIC / name).read_bytes(), media_type=_MEDIA[name], headers=_CACHED)
