"""Other settings for a while: environment variables that the next reading of the settings sees."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backend.core.settings import get_settings
from backend.db import session


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables inside the body, what there was after it; the pool and the settings are made anew."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    session.dispose()
    get_settings.cache_clear()
    try:
        yield
    finally:
        session.dispose()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        get_settings.cache_clear()
