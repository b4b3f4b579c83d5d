"""Runs the blocks of a page, in its order, in one shell, against a stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from backend.tests.docs.pages import RUN, Block
from backend.tests.support.stack import Stack

DOCUMENTED_URL = "http://localhost:8000"
DOCUMENTED_KEY = "your-api-key"
_MARK = "\x1e"


@dataclass(frozen=True)
class Outcome:
    """What a page's blocks printed, block by block, and how the shell ended."""

    status: int
    printed: list[str]
    errors: str
    failed_line: int | None


def new_key(stack: Stack) -> str:
    """A key of a user of its own."""
    made = subprocess.run(
        [
            str(Path(sys.executable).with_name("extrophi")), "keys", "create", "--quiet",
            "--user", f"reader-{uuid.uuid4()}", "--name", "docs", "--scope", "cards:read",
            "--scope", "cards:write", "--scope", "bulk:import", "--scope", "bulk:export",
            "--scope", "bulk:delete", "--scope", "keys:manage", "--scope", "admin",
        ],
        env=environment(stack, None), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return made.stdout.strip()


def environment(stack: Stack, key: str | None) -> dict[str, str]:
    """What a reader's shell has: the programs on PATH, the server and the key."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EXTROPHI_")}
    values = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATA_DIR": str(stack.data_dir),
        "EXTROPHI_URL": stack.url,
        "COLUMNS": "200",
        "LANG": "C.UTF-8",
    }
    return inherited | values | ({} if key is None else {"EXTROPHI_API_KEY": key})


def run(blocks: list[Block], stack: Stack, folder: Path, *, key: str | None = None) -> Outcome:
    """Run ``sh`` and ``python`` blocks with only the address and the key put in."""
    key = key or new_key(stack)
    lines = ["set -euo pipefail"]
    steps = [block for block in blocks if block.language in (*RUN, "bash")]
    for number, block in enumerate(steps):
        text = block.text.replace(DOCUMENTED_URL, stack.url).replace(DOCUMENTED_KEY, key)
        lines.append(f"printf '{_MARK}{number}\\n'")
        if block.language == "python":
            (folder / f"example_{block.line}.py").write_text(text)
            lines.append(f"python example_{block.line}.py")
        else:
            lines.append(text)
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", "\n".join(lines)], cwd=folder, env=environment(stack, key),
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    printed = [text.partition("\n")[2] for text in done.stdout.split(_MARK)[1:]]
    failed = None if done.returncode == 0 else steps[max(0, len(printed) - 1)].line
    return Outcome(done.returncode, printed, done.stderr, failed)


def is_printed(expected: str, printed: str) -> bool:
    """Whether each line of ``expected`` is a line of ``printed``, in order; ``…`` stands for anything."""
    rest = printed.splitlines()
    for line in expected.splitlines():
        pattern = ".*".join(re.escape(part) for part in line.strip().split("…"))
        while rest and re.fullmatch(pattern, rest[0].strip()) is None:
            rest.pop(0)
        if not rest:
            return False
        rest.pop(0)
    return True


def documents(printed: str) -> list[object]:
    """The JSON documents in what was printed, one a line."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
