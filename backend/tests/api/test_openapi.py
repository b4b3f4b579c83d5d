"""The OpenAPI document is part of the contract: it is kept, and it only grows."""

from __future__ import annotations

import json
from typing import Any

from backend.api import openapi


def test_the_kept_document_is_the_apis_own() -> None:
    kept = openapi.PATH.read_text(encoding="utf-8")
    assert kept == openapi.document(), "run: python -m backend.api.openapi"


def test_every_operation_documents_its_errors_as_problems() -> None:
    document: dict[str, Any] = json.loads(openapi.document())
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                if status == "416":  # has no body, as RFC 9110 lets it
                    continue
                if status.startswith(("4", "5")) and not path.endswith(("/health", "/ready")):
                    assert "application/problem+json" in answer["content"], (method, path, status)


def test_every_reference_leads_somewhere() -> None:
    text = openapi.document()
    known = json.loads(text)["components"]["schemas"]
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(known)
