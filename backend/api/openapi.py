"""Write the OpenAPI document, which is kept in the repository: ``python -m backend.api.openapi``."""

from __future__ import annotations

import json
from pathlib import Path

from backend.api.app import create_app

PATH = Path("docs/reference/openapi.json")


def document() -> str:
    """The document as it is kept: sorted, so that a difference is a change."""
    return json.dumps(create_app().openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(document(), encoding="utf-8")
