"""Directus and the Node 22 it runs on, from the npm registry into a folder outside the repository.

npm runs as the caller has set it up (registry and cache are the caller's business) and writes no lock file.
What is there already is used again.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.peer import NotHere

NODE = "22"
DIRECTUS = "12.4.0"
INSTALL_SECONDS = 1_800
MACHINES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}  # as npm calls them


@dataclass(frozen=True, slots=True)
class Installed:
    """Where it is: ``node`` is the binary, ``cli`` the script that it runs."""

    node: Path
    cli: Path
    node_version: str


def default_folder() -> Path:
    """In the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "extrophi-bulk-peers"


def install(folder: Path) -> Installed:
    """Find it in ``folder``, or install it there: minutes, and a C++ compiler where nothing fits ready made.

    Raises:
        NotHere: npm is missing, or what it said when it failed.
    """
    node_package = f"node-{sys.platform}-{MACHINES.get(platform.machine(), platform.machine())}"
    here = folder / f"directus-{DIRECTUS}-{node_package}"
    node_home = here / "node" / "node_modules" / node_package
    node = node_home / "bin" / "node"
    cli = here / "directus" / "node_modules" / "@directus" / "api" / "dist" / "cli" / "run.js"
    done = here / "installed.json"
    if not done.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise NotHere("there is no npm on this machine to install it with")
        _npm(npm, here / "node", f"{node_package}@{NODE}", {})
        # From here on that Node runs npm too, and its headers are used: compiled parts must fit the Node that
        # loads them.
        fitting = {
            "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}",
            "npm_config_nodedir": str(node_home),
        }
        _npm(npm, here / "directus", f"directus@{DIRECTUS}", fitting)
        _output([str(node), str(cli), "--help"], here, {"SECRET": "none"})
        done.write_text(json.dumps({"node": _output([str(node), "--version"], here, {}).strip()}))
    return Installed(node, cli, json.loads(done.read_text())["node"])


def _npm(npm: str, folder: Path, package: str, environment: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error",
        "--prefix", str(folder), package,
    ]  # fmt: skip
    _output(command, folder, environment)


def _output(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"{Path(command[0]).name} failed: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise NotHere(f"{Path(command[0]).name} {command[-1]} failed: {said[-400:]}")
    return done.stdout
