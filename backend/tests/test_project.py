"""What must hold for the project as a whole, file by file."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400


@cache
def committed() -> tuple[Path, ...]:
    """Every committed file, and those that would be committed next."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


def text_files() -> list[Path]:
    return [path for path in committed() if b"\0" not in path.read_bytes()[:8192]]


def naming(pattern: str) -> list[str]:
    """``file:line`` of every committed line that matches, this file excepted."""
    found = []
    for path in text_files():
        if path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def test_no_file_names_the_host_of_a_package_registry():
    assert (
        naming(
            r"(?i)\bpypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg|crates\.io|index-url"
        )
        == []
    )


def test_no_file_names_a_folder_of_the_machine_it_was_written_on():
    assert naming(r"(?<![\w.$}])/work/|/root/|/tmp/v0|(?<![\w.])/home/(?!\w*(app|extrophi))") == []


def test_locks_are_pinned_with_hashes_and_name_no_index():
    locks = list((ROOT / "requirements").glob("*.txt"))
    assert {"base.txt", "build.txt", "dev.txt", "embedded.txt"} <= {lock.name for lock in locks}
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, lock
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert re.match(r"[a-z0-9.-]+(\[[a-z,-]+\])?==\S+", requirement), (
                f"{lock.name}: {requirement[:80]}"
            )
            assert "--hash=sha256:" in requirement, f"{lock.name}: {requirement[:80]}"


def test_the_locks_agree_with_each_other():
    """One version of a package in all of them (per marker), so that what is tested is what is shipped."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        for name, version, marker in re.findall(
            r"^([a-z0-9.-]+)(?:\[[^]]*\])?==(\S+)(?: ; ([^\\\n]*))?", lock.read_text(), re.MULTILINE
        ):
            if name == "setuptools":
                marker = ""
            earlier = seen.setdefault((name, marker.strip()), (version, lock.name))
            assert earlier[0] == version, f"{name}: {earlier[1]} and {lock.name} differ"


def test_the_locks_hold_everything_that_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.match(r"[A-Za-z0-9.-]+", requirement)[0].lower() for requirement in requirements}

    def locked(name: str) -> set[str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return set(re.findall(r"^([a-z0-9.-]+)(?:\[|==)", text, re.MULTILINE))

    extras = project["optional-dependencies"]
    assert names(project["dependencies"]) <= locked("base")
    assert names(project["dependencies"]) | names(extras["embedded"]) <= locked("embedded")
    assert names(project["dependencies"]) | names(extras["embedded"]) | names(extras["dev"]) <= locked("dev")


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert importlib.metadata.version("extrophi-bulk") == version
    from main import app

    assert app.version == version


def test_package_init_files_are_empty():
    filled = [path for path in committed() if path.name == "__init__.py" and path.read_text().strip()]
    assert filled == []


def test_every_package_folder_has_an_init_file():
    folders = {
        path.parent for path in committed() if path.suffix == ".py" and ROOT / "backend" in path.parents
    }
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_python_file_is_long():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in committed()
        if path.suffix == ".py"
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("target", ["install", "demo", "up", "test", "check", "bench", "torture", "fuzz"])
def test_the_makefile_has_each_target(target):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_entry_scripts_are_executable_and_parse():
    for name in (".ci/run", "scripts/install"):
        assert (ROOT / name).stat().st_mode & 0o111, name
        assert subprocess.run(["sh", "-n", ROOT / name], capture_output=True).returncode == 0, name
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_the_readme_names_the_two_commands_first():
    top = (ROOT / "README.md").read_text()[:2500]
    assert "make demo" in top
    assert "make test" in top
