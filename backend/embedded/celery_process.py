"""A worker or the clock of the embedded stack: Celery's own commands without its plug-ins.

``celery …`` loads the plug-ins of whatever is installed beside it, Flower's web server among them: 12 MB and
a tenth of a second of every process. structlog loads rich where it finds it, for tracebacks in colours: 4 MB.
"""

from __future__ import annotations

import sys

from celery.bin.base import CLIContext
from celery.bin.beat import beat
from celery.bin.worker import worker

from backend.queue.celery_app import app

COMMANDS = {"worker": worker, "beat": beat}


def main(arguments: list[str]) -> None:
    """``worker`` or ``beat``, then that command's options."""
    name, *options = arguments
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # what is None there is not found
    context = CLIContext(app=app, no_color=True, workdir=None, quiet=True)
    COMMANDS[name].main(options, prog_name=name, obj=context)


if __name__ == "__main__":
    main(sys.argv[1:])
