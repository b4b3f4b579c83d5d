"""For the commands that work on the database itself: DATABASE_URL, else the running stack's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from backend.cli.failures import NoServer
from backend.core.errors import Unavailable
from backend.db import session
from backend.embedded.running import adopt_running_stack


@contextmanager
def database() -> Iterator[None]:
    """Point this process at the database; its connections are closed again afterwards.

    Raises:
        NoServer: when no stack is running and DATABASE_URL is unset.
        Unavailable: when the database cannot be reached.
    """
    if adopt_running_stack() is None and not os.environ.get("DATABASE_URL"):
        raise NoServer("No stack is running here. Start one with `extrophi up`, or set DATABASE_URL.")
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        if session.is_down(error):
            raise Unavailable("The database cannot be reached.") from error
        raise
    finally:
        session.dispose()
