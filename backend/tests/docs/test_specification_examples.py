"""The examples of the specification, word for word with only address, key and task id put in."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backend.tests.docs.pages import Block, Page
from backend.tests.docs.running import DOCUMENTED_KEY, new_key, run

EXAMPLES = Page(Path(__file__).with_name("specification_examples.md"))
CURLS = EXAMPLES.blocks("bash")
pytestmark = pytest.mark.integration


def test_there_are_one_client_and_three_curl_lines():
    assert len(EXAMPLES.blocks("python")) == 1
    assert [block.text.split("\n")[0] for block in CURLS] == [
        "curl -X POST http://localhost:8000/bulk/import \\",
        "curl -X POST http://localhost:8000/bulk/export \\",
        "curl http://localhost:8000/bulk/status/{task_id} \\",
    ]


def test_the_python_client_imports_a_thousand_cards_and_ends(stack, tmp_path):
    done = run(EXAMPLES.blocks("python"), stack, tmp_path)
    assert done.status == 0, done.errors
    *_, title, shown = done.printed[0].strip().splitlines()
    assert title == "Import completed!"
    result = ast.literal_eval(shown)
    assert result.pop("duration_seconds") > 0
    assert result == {
        "cards_imported": 1000,
        "cards_failed": 0,
        "cards_published": 1000,
        "extropy_earned": "1000.00000000",
        "errors": [],
    }


def test_the_python_client_with_a_wrong_key_is_refused(stack, tmp_path):
    done = run(EXAMPLES.blocks("python"), stack, tmp_path, key="extro_live_wrong")
    assert done.status != 0
    assert "KeyError: 'task_id'" in done.errors


def posted(stack: Any, tmp_path: Path, block: Block, key: str) -> dict[str, Any]:
    done = run([block], stack, tmp_path, key=key)
    assert done.status == 0, done.errors
    answer = json.loads(done.printed[0])
    assert set(answer) == {
        "task_id", "status", "message", "estimated_duration_seconds", "check_status_url",
    }  # fmt: skip
    assert answer["status"] == "PENDING"
    assert answer["check_status_url"] == f"/bulk/status/{answer['task_id']}"
    return answer


def ended(stack: Any, answer: dict[str, Any], key: str) -> dict[str, Any]:
    url = f"{stack.url}{answer['check_status_url']}?wait=30"
    return httpx2.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=60).json()


def test_the_curl_lines_import_export_and_ask_for_the_status(stack, tmp_path):
    key = new_key(stack)
    imported = posted(stack, tmp_path, CURLS[0], key)
    assert imported["message"] == "Bulk import initiated for 1 cards"
    assert ended(stack, imported, key)["result"]["cards_published"] == 1

    exported = posted(stack, tmp_path, CURLS[1], key)
    assert exported["message"] == "Bulk export initiated in json format"
    assert ended(stack, exported, key)["result"]["cards_exported"] == 1

    asked = CURLS[2].text.replace("{task_id}", imported["task_id"])
    done = run([Block("bash", asked, CURLS[2].line)], stack, tmp_path, key=key)
    assert done.status == 0, done.errors
    status = json.loads(done.printed[0])
    assert set(status) == {"task_id", "status", "result", "completed_at"}
    assert (status["task_id"], status["status"]) == (imported["task_id"], "SUCCESS")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["completed_at"])


def test_the_documented_key_itself_is_refused(stack, tmp_path):
    done = run([CURLS[0]], stack, tmp_path, key=DOCUMENTED_KEY)
    assert json.loads(done.printed[0])["detail"] == "Invalid or missing API key"
