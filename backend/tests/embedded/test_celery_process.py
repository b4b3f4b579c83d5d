"""Workers and the clock of the embedded stack carry no more than they need."""

from __future__ import annotations

import subprocess
import sys


def test_no_plug_in_of_celerys_command_line_is_loaded() -> None:
    code = (
        "import sys, backend.embedded.celery_process as started\n"
        "assert sorted(started.COMMANDS) == ['beat', 'worker']\n"
        "print(*{'flower', 'tornado'} & set(sys.modules))"
    )
    assert printed(code) == []


def test_what_prints_in_colours_is_not_loaded() -> None:
    code = (
        "import sys, backend.embedded.celery_process as started\n"
        "started.COMMANDS['worker'].main = lambda *_, **__: started.app.loader.import_default_modules()\n"
        "started.main(['worker'])\n"
        "import backend.core.logging\n"
        "assert 'backend.operations.runner' in sys.modules\n"
        "print(*(name for name in ('rich.console', 'attr') if name in sys.modules))"
    )
    assert printed(code) == []


def printed(code: str) -> list[str]:
    """The words that a Python of its own prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
