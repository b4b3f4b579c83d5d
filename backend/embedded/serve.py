"""The API process of the embedded stack: uvicorn on a socket that the supervisor keeps open.

While the API restarts, connections wait in that socket's queue instead of being refused.
"""

from __future__ import annotations

import socket
import sys

import uvicorn

from backend.core.settings import get_settings

GRACEFUL_SECONDS = 5


def main(descriptor: int) -> None:
    """Serve ``main:app`` on the inherited listening socket until SIGTERM."""
    # structlog would load it, as in celery_process: 5 MB. What is None there is not found.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    listener = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        "main:app",
        http="httptools",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_level=get_settings().log_level.lower(),
        timeout_keep_alive=65,  # longer than clients and proxies keep idle connections
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]))
