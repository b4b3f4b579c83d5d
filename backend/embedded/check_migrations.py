"""``make check``: the migrations and the tables of ``backend.db.tables`` say the same.

Run on a throwaway server: upgrade, compare, upgrade again (which must do nothing). They only go forward.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from alembic.util import CommandError

from backend.core.settings import get_settings
from backend.db import migrate
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.tuning import THROWAWAY


def main() -> int:
    """0 when they agree; else 1 with the differences on standard error."""
    with tempfile.TemporaryDirectory(prefix="extrophi-migrations-") as name:
        folder = Path(name)
        server = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log", extra=THROWAWAY)
        server.start()
        try:
            os.environ["DATABASE_URL"] = server.ensure_database("extrophi")
            get_settings.cache_clear()
            migrate.upgrade()
            migrate.check()
            migrate.upgrade()
        except CommandError as error:
            sys.stderr.write(f"migrations and tables differ: {error}\n")
            return 1
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
