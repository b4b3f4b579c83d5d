"""docker-compose.yml: what it promises, and every command in it really started."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from backend.embedded.binaries import redis_binary
from backend.embedded.ports import free_port
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.tuning import Setting, postgres_settings, redis_settings
from backend.tests.docs.compose import ROOT, Machine, argv, end, load

SERVICES = {"postgres", "redis", "migrate", "api", "celery_worker", "beat", "flower"}
OURS = SERVICES - {"postgres", "redis"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load()


def test_it_has_each_service_of_the_documentation_and_the_migration(compose):
    assert set(compose["services"]) == SERVICES


def test_the_documented_images_commands_and_names_are_kept(compose):
    services = compose["services"]
    assert services["postgres"]["image"] == "postgres:16"
    assert services["redis"]["image"] == "redis:7-alpine"
    assert services["postgres"]["environment"] == {
        "POSTGRES_DB": "unified_scraper", "POSTGRES_USER": "scraper", "POSTGRES_PASSWORD": "scraper_pass",
    }  # fmt: skip
    assert services["api"]["command"] == "uvicorn main:app --host 0.0.0.0 --port 8000"
    worker = "celery -A backend.queue.celery_app worker --loglevel=info"
    assert services["celery_worker"]["command"] == worker
    assert services["flower"]["command"] == "celery -A backend.queue.celery_app flower --port=5555"
    for name in OURS:
        assert services[name]["build"] == "."
        environment = services[name]["environment"]
        assert environment["DATABASE_URL"] == (
            "postgresql://scraper:scraper_pass@postgres:5432/unified_scraper"
        )
        for variable in ("REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
            assert environment[variable] == "redis://:redis_pass@redis:6379/0"


def test_passwords_come_from_the_environment_where_they_are_given():
    given = {"POSTGRES_PASSWORD": "p1", "REDIS_PASSWORD": "r1", "API_KEY_PEPPER": "k1"}
    services = load(given)["services"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "p1"
    assert services["redis"]["environment"]["REDIS_PASSWORD"] == "r1"
    assert services["api"]["environment"]["DATABASE_URL"].startswith("postgresql://scraper:p1@")
    assert services["celery_worker"]["environment"]["REDIS_URL"] == "redis://:r1@redis:6379/0"
    assert services["celery_worker"]["environment"]["API_KEY_PEPPER"] == "k1"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_runs_without_root_without_capabilities_on_a_read_only_file_system(compose, name):
    service = compose["services"][name]
    assert service["user"] not in {"root", "0", "0:0"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service.get("privileged", False) is False
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(place.startswith("/tmp") for place in service["tmpfs"])


@pytest.mark.parametrize("name", sorted(SERVICES - {"migrate"}))
def test_a_service_that_stays_has_a_health_check(compose, name):
    check = compose["services"][name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", sorted(OURS - {"migrate"}))
def test_ours_wait_for_healthy_servers_and_for_the_migration(compose, name):
    assert compose["services"][name]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }


def test_ports_are_published_on_this_machine_only(compose):
    published = {
        name: service["ports"] for name, service in compose["services"].items() if "ports" in service
    }
    assert published == {"api": ["127.0.0.1:8000:8000"], "flower": ["127.0.0.1:5555:5555"]}


def test_every_volume_is_declared_and_used(compose):
    places = [place for service in compose["services"].values() for place in service.get("volumes", ())]
    assert {place.partition(":")[0] for place in places} == set(compose["volumes"])


def postgres_options(compose: dict[str, Any]) -> dict[str, str]:
    words = argv(compose["services"]["postgres"]["command"])
    assert words[0] == "postgres"
    assert all(word.startswith("-c") for word in words[1:])
    return dict(word.removeprefix("-c").split("=", 1) for word in words[1:])


def test_postgresql_is_tuned_as_recommended(compose):
    recommended = {setting.name: setting.value for setting in postgres_settings()}
    options = postgres_options(compose)
    assert options.pop("shared_buffers").endswith("MB")  # by the machine's memory
    assert {name: recommended.get(name) for name in options} == options
    assert "fsync" not in options
    assert "synchronous_commit" not in options


def test_redis_has_a_password_an_append_only_file_and_never_evicts(compose):
    line = " ".join(argv(compose["services"]["redis"]["command"]))
    recommended = {setting.name: setting.value for setting in redis_settings()}
    for name in ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "tcp-keepalive"):
        assert f"--{name} {recommended[name]}" in line
    assert "requirepass" in line
    assert "redis_pass" not in line  # a command's arguments are visible to other processes


def copy(source: Path, target: Path) -> None:
    """What is committed or would be, without the tests and what running left behind."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        return
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("tests", "__pycache__"))


class TestTheImage:
    dockerfile = (ROOT / "Dockerfile").read_text()

    def test_is_built_in_two_stages_from_locks_with_hashes(self):
        assert self.dockerfile.count("\nFROM ") + self.dockerfile.startswith("FROM") == 2
        for lock in ("build.txt", "flower.txt"):
            assert f"--require-hashes --only-binary=:all: -r requirements/{lock}" in self.dockerfile
            assert (ROOT / "requirements" / lock).is_file()

    def test_does_not_run_as_root(self):
        last = self.dockerfile.rpartition("FROM ")[2]
        user = [line.split()[1] for line in last.splitlines() if line.startswith("USER ")]
        assert user == ["10001:10001"]
        assert load()["services"]["api"]["user"] == user[0]

    def test_carries_every_file_that_the_code_reads(self, tmp_path):
        """Built as the image builds it, without what .dockerignore leaves out."""
        for line in self.dockerfile.splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    copy(ROOT / source, tmp_path / source)
        build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
        done = subprocess.run(
            [sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        with zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]) as wheel:
            packed = set(wheel.namelist())
        files = {
            str(path.relative_to(tmp_path)) for path in (tmp_path / "backend").rglob("*") if path.is_file()
        }
        assert files - packed == set()
        assert "main.py" in packed

    def test_copies_only_what_exists_and_is_not_ignored(self):
        kept = {
            line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
        }
        for line in self.dockerfile.splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    assert (ROOT / source).exists(), source
                    assert source.split("/")[0] in kept, source


class Started:
    """The compose file's services as processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self.services = load()["services"]
        self.machine = Machine(folder, programs={"redis-server": redis_binary().resolve()})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        extra = tuple(Setting(*pair, "compose") for pair in postgres_options(load()).items())
        self.postgres = EmbeddedPostgres(folder / "pg", log=folder / "postgres.log", version=16, extra=extra)

    def start(self) -> None:
        machine = self.machine
        self.postgres.start()
        # What the image's entry point does with these variables.
        names = self.services["postgres"]["environment"]
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            user, password, database = (names[f"POSTGRES_{what}"] for what in ("USER", "PASSWORD", "DB"))
            connection.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")
            connection.execute(f"CREATE DATABASE {database} OWNER {user}")
        redis_port = free_port()
        machine.hosts = {
            "postgres:5432": f"127.0.0.1:{self.postgres.port}", "redis:6379": f"127.0.0.1:{redis_port}",
        }  # fmt: skip
        machine.ports = {"8000": str(free_port()), "5555": str(free_port())}
        redis = {**self.services["redis"], "command": [*argv(self.services["redis"]["command"])]}
        redis["command"][-1] += f" --port {redis_port} --bind 127.0.0.1"
        self.processes["redis"] = machine.start("redis", redis)
        self.until(lambda: self.redis_answers(redis_port), "redis")
        migrate = machine.start("migrate", self.services["migrate"])
        assert migrate.wait(60) == 0, machine.log("migrate").read_text()
        for name in ("api", "celery_worker", "beat"):
            self.processes[name] = machine.start(name, self.services[name])
        self.processes["flower"] = machine.start("flower", self.services["flower"], "--address=127.0.0.1")

    def redis_answers(self, port: int) -> bool:
        password = self.services["redis"]["environment"]["REDIS_PASSWORD"]
        try:
            with Redis(port=port, password=password) as client:
                return bool(client.ping())
        except RedisConnectionError:
            return False

    def until(self, true: Callable[[], bool], name: str, seconds: float = 60) -> None:
        end_at = time.monotonic() + seconds
        while not true():
            process = self.processes.get(name)
            if (process is not None and process.poll() is not None) or time.monotonic() > end_at:
                raise AssertionError(f"{name}:\n{self.machine.log(name).read_text()[-5000:]}")
            time.sleep(0.3)

    def run(self, *command: str, service: str = "api") -> str:
        """``docker compose run --rm SERVICE COMMAND…``."""
        done = subprocess.run(
            command, env=self.machine.environment(self.services[service]), cwd=self.machine.mount("tmp"),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def request(self, port: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.machine.ports[port]}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=70) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self) -> dict[str, int]:
        statuses = {name: end(self.processes.pop(name)) for name in list(reversed(self.processes))}
        self.postgres.stop()
        return statuses


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    everything = Started(tmp_path_factory.mktemp("compose"))
    try:
        everything.start()
        yield everything
    finally:
        everything.stop()


@pytest.mark.integration
class TestStarted:
    @pytest.mark.parametrize("name", ["api", "celery_worker", "beat", "flower"])
    def test_the_health_check_of_a_service_passes(self, started, name):
        started.until(lambda: started.machine.healthy(started.services[name]), name)

    def test_the_health_check_of_the_api_fails_when_it_is_not_there(self, started):
        started.until(lambda: started.machine.healthy(started.services["api"]), "api")
        ports = started.machine.ports
        started.machine.ports = ports | {"8000": str(free_port())}
        try:
            assert not started.machine.healthy(started.services["api"])
        finally:
            started.machine.ports = ports

    def test_a_key_is_made_cards_are_imported_and_flower_shows_the_worker(self, started):
        made = started.run("extrophi", "keys", "create", "--user", "me", "--name", "first", "--json")
        key = {"Authorization": f"Bearer {json.loads(made)['key']}"}
        card = {"title": "Card", "body": "Content", "category": "BUSINESS", "privacy_level": "BUSINESS"}
        started.until(lambda: started.machine.healthy(started.services["api"]), "api")
        status, answer = started.request("8000", "/bulk/import", {"cards": [card] * 250}, **key)
        assert status == 202, answer
        path = f"{json.loads(answer)['check_status_url']}?wait=60"
        state = json.loads(started.request("8000", path, **key)[1])
        assert state["status"] == "SUCCESS", state
        assert state["result"]["cards_imported"] == 250
        user = b64encode(started.services["flower"]["environment"]["FLOWER_BASIC_AUTH"].encode()).decode()

        def seen() -> bool:
            status, page = started.request("5555", "/workers", Authorization=f"Basic {user}")
            return status == 200 and b"celery@" in page

        started.until(seen, "flower")
        assert started.request("5555", "/workers")[0] == 401

    def test_an_export_that_a_worker_wrote_is_downloaded_from_the_api(self, started):
        made = started.run("extrophi", "keys", "create", "--user", "me", "--name", "second", "--json")
        key = {"Authorization": f"Bearer {json.loads(made)['key']}"}
        answer = json.loads(started.request("8000", "/bulk/export", {"format": "csv"}, **key)[1])
        state = json.loads(started.request("8000", f"{answer['check_status_url']}?wait=60", **key)[1])
        assert state["status"] == "SUCCESS", state
        status, file = started.request("8000", state["result"]["download_url"], **key)
        assert (status, len(file)) == (200, state["result"]["file_size_bytes"])

    def test_all_of_them_end_when_asked_to(self, started):
        statuses = started.stop()
        started.postgres.start()  # the fixture stops it again
        assert set(statuses) == {"redis", "api", "celery_worker", "beat", "flower"}
        assert {name: status for name, status in statuses.items() if status not in (0, -15)} == {}
