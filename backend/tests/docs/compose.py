"""docker-compose.yml as data, and its services started without a container engine.

A service's command is started as written, in a process with the service's environment (and nothing of
ours but PATH), with these differences only: host names become the addresses of the servers on this machine,
ports become free ones, and the folders that a container mounts become folders of the test.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]


def interpolated(value: Any, variables: dict[str, str]) -> Any:
    """``${NAME:-default}`` and ``$$`` as compose reads them, in every string of ``value``."""
    if isinstance(value, dict):
        return {key: interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return variables.get(match.group(1)) or match.group(2)

    return re.sub(r"\$\$|\$\{(\w+):-([^}]*)\}", replace, value)


def load(variables: dict[str, str] | None = None) -> dict[str, Any]:
    """The compose file with its anchors and variables resolved."""
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return interpolated(document, variables or {})


def argv(command: str | list[str]) -> list[str]:
    """A command as compose splits it."""
    return shlex.split(command) if isinstance(command, str) else [str(word) for word in command]


@dataclass
class Machine:
    """Where what the compose file names is on this machine."""

    folder: Path
    hosts: dict[str, str] = field(default_factory=dict)  # "postgres:5432" -> "127.0.0.1:40123"
    ports: dict[str, str] = field(default_factory=dict)  # "8000" -> "40124"
    programs: dict[str, Path] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """A word of a command or a value of its environment, with the replacements above."""
        for name, address in self.hosts.items():
            text = text.replace(f"@{name}/", f"@{address}/")
        for port, free in self.ports.items():
            text = re.sub(rf"(?<=--port=){port}$|(?<=127\.0\.0\.1:){port}(?=/)|^{port}$", free, text)
        text = re.sub(r"^0\.0\.0\.0$", "127.0.0.1", text)
        mounted = r"(?<![\w/])/(tmp|data|var/lib/extrophi)(?=/|$|[\s'])"
        return re.sub(mounted, lambda match: str(self.mount(match.group(1))), text)

    def mount(self, name: str) -> Path:
        path = self.folder / name.replace("/", "-")
        path.mkdir(exist_ok=True)
        return path

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        """The service's variables, and a PATH with our programs first."""
        programs = self.mount("bin")
        for name, target in self.programs.items():
            if not (programs / name).exists():
                (programs / name).symlink_to(target)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        values = {name: self.here(str(value)) for name, value in service.get("environment", {}).items()}
        return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(self.mount("home")), **values}

    def start(self, name: str, service: dict[str, Any], *more: str) -> subprocess.Popen[bytes]:
        """Start a service's command; what it prints goes to ``name.log``."""
        command = [self.here(word) for word in argv(service["command"])] + list(more)
        with self.log(name).open("ab") as log:
            return subprocess.Popen(
                command, env=self.environment(service), cwd=self.mount("tmp"), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def healthy(self, service: dict[str, Any]) -> bool:
        """Whether the service's own health check passes."""
        kind, *words = service["healthcheck"]["test"]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        done = subprocess.run(
            [self.here(word) for word in command], env=self.environment(service), cwd=self.mount("tmp"),
            capture_output=True, timeout=30,
        )  # fmt: skip
        return done.returncode == 0

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def end(process: subprocess.Popen[bytes], seconds: float = 45) -> int:
    """SIGTERM as a container gets it; the exit status. Killed with its group when it does not obey."""
    process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        raise
