"""Building the archives of the tests out of the text files in ``fixtures``: no binary file is committed."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"


def tree(folder: str, prefix: str = "") -> dict[str, bytes]:
    """The files below ``fixtures/<folder>`` by their path in it, sorted, with ``prefix`` before each."""
    root = FIXTURES / folder
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {prefix + path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip with these files, deflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()
