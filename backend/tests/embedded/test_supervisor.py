"""``extrophi up``, as its users and their scripts see it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis

from backend.core.process import is_alive, wait_gone
from backend.embedded.binaries import postgres_bin
from backend.embedded.health import health
from backend.embedded.ports import free_port
from backend.embedded.postgres import EmbeddedPostgres
from backend.embedded.redis import EmbeddedRedis
from backend.tests.support.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.faults]
CHILDREN = ("api", "worker", "beat", "redis", "postgres")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this module alone: its processes are killed one after the other."""
    running = Stack(tmp_path_factory.mktemp("supervisor") / "a folder", "--workers", "2")
    yield running.wait_ready()
    running.stop()


def family(stack: Stack) -> list[int]:
    """Every process of the stack, worker children and PostgreSQL's sessions included."""
    supervisor = psutil.Process(stack.pids["supervisor"])
    return [supervisor.pid, *(process.pid for process in supervisor.children(recursive=True))]


def await_healthy(stack: Stack, workers: int, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    answer = None
    while time.monotonic() < end:
        answer = health(stack.url)
        if answer and answer.get("status") == "healthy" and answer.get("worker_count", 0) >= workers:
            return
        time.sleep(0.1)
    raise AssertionError(f"not healthy: {answer}\n{stack.log()}")


def test_the_ready_file_says_where_everything_is(ours):
    document = ours.ready()
    assert set(document) == {"url", "api_key", "database_url", "redis_url", "data_dir", "pids"}
    assert set(document["pids"]) == {"supervisor", "api", "worker", "beat", "postgres", "redis"}
    assert len(document["pids"]["worker"]) == 2
    assert all(is_alive(pid) for pid in ours.all_pids())
    assert document["data_dir"] == str(ours.data_dir)
    assert document["api_key"].startswith("extro_live_")
    await_healthy(ours, 2)
    with psycopg.connect(document["database_url"]) as connection:
        assert connection.execute("SELECT name FROM users").fetchall() == [("demo",)]
    with Redis.from_url(document["redis_url"]) as client:
        assert client.ping()


def test_what_is_secret_is_private(ours):
    for path in (ours.ready_file, ours.data_dir / "stack.json", *(ours.data_dir / "secrets").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    printed = ours.log_path.read_text()
    for process in psutil.Process(ours.pids["supervisor"]).children(recursive=True):
        command = " ".join(process.cmdline())
        assert ours.api_key not in command
        assert re.search(r":([^:@/]{20,})@", ours.database_url)[1] not in command
        assert re.search(r":([^:@/]{20,})@", ours.redis_url)[1] not in command
    assert printed.count(ours.api_key) == 1


@pytest.mark.parametrize("name", CHILDREN)
def test_what_is_killed_is_back_within_two_seconds(ours, name):
    old = ours.pid_of(name)
    others = [pid for pid in ours.all_pids() if pid != old]
    os.kill(old, signal.SIGKILL)
    assert ours.wait_restarted(name, old) < 2
    assert all(is_alive(pid) for pid in others)
    await_healthy(ours, 2)
    assert set(others) <= set(ours.all_pids())


def test_children_of_a_killed_worker_do_not_work_on_beside_its_successor(ours):
    parent = ours.pid_of("worker")
    end = time.monotonic() + 30  # the last sign of life may be that of the worker before
    while not (children := [child.pid for child in psutil.Process(parent).children()]):
        assert time.monotonic() < end
        time.sleep(0.1)
    os.kill(parent, signal.SIGKILL)
    assert wait_gone(children, 2) == []
    ours.wait_restarted("worker", parent)
    await_healthy(ours, 2)


def test_a_second_stack_on_the_same_folder_is_refused_and_the_first_goes_on(ours):
    before = ours.pids
    second = subprocess.run(
        [Path(sys.executable).with_name("extrophi"), "up", "--port", "0", "--data-dir", ours.data_dir],
        capture_output=True, text=True, timeout=30, env=ours.environment,
    )  # fmt: skip
    assert second.returncode == 1
    assert f"Another stack is running on {ours.data_dir} (process {before['supervisor']})" in second.stderr
    assert "Traceback" not in second.stderr
    assert ours.pids == before
    await_healthy(ours, 2)


def test_later_commands_find_the_running_stack(ours):
    extrophi = Path(sys.executable).with_name("extrophi")
    environment = ours.environment | {"DATA_DIR": str(ours.data_dir)}
    done = subprocess.run([extrophi, "doctor", "--json"], capture_output=True, text=True, env=environment)
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert findings["workers"]["detail"].startswith("2 alive")
    assert findings["migrations"]["state"] == "ok"
    assert findings["api key pepper"]["state"] == "ok"
    assert subprocess.run([extrophi, "migrate"], env=environment, capture_output=True).returncode == 0


def test_a_killed_supervisor_leaves_nobody_behind_and_the_next_one_takes_over(new_stack):
    port = str(free_port())
    first = new_stack("--port", port).wait_ready()
    key, everyone = first.api_key, family(first)
    assert len(everyone) > 10
    with psycopg.connect(first.database_url) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES (gen_random_uuid(), 'kept')")
    first.kill()
    assert wait_gone(everyone, 5) == []
    second = new_stack("--port", port).wait_ready()
    assert second.url.endswith(f":{port}")
    assert second.api_key == key
    with psycopg.connect(second.database_url) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM users")}
    assert names == {"demo", "kept"}
    assert key not in second.log_path.read_text().split("starting PostgreSQL")[-1]


def test_the_next_stack_may_start_in_the_very_moment_the_first_is_killed(new_stack):
    first = new_stack("--workers", "2").wait_ready()
    everyone = family(first)
    first.process.kill()
    second = new_stack("--workers", "2")
    assert wait_gone(everyone, 5) == []
    second.wait_ready()
    await_healthy(second, 2)


def test_control_c_ends_all_of_it_cleanly(new_stack):
    stack = new_stack("--workers", "2").wait_ready()
    everyone = family(stack)
    began = time.monotonic()
    assert stack.stop() == 0
    assert time.monotonic() - began < 15
    assert wait_gone(everyone, 0.5) == []
    assert not stack.ready_file.exists()
    assert not (stack.data_dir / "postgres" / "postmaster.pid").exists()
    assert "database system is shut down" in (stack.data_dir / "logs" / "postgres.log").read_text()
    assert "killing" not in stack.log_path.read_text()


def test_a_signal_while_starting_ends_it_cleanly(new_stack):
    stack = new_stack()
    while not (stack.data_dir / "postgres").exists():
        assert stack.process.poll() is None, stack.log()
        time.sleep(0.02)
    everyone = family_of(stack.process.pid)
    stack.process.terminate()
    assert stack.process.wait(40) == 0
    assert wait_gone(everyone, 1) == []
    assert "Traceback" not in stack.log_path.read_text()


def family_of(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_a_taken_port_is_replaced_by_a_free_one(new_stack):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = new_stack("--port", str(port)).wait_ready()
        assert not stack.url.endswith(f":{port}")
        assert f"port {port} is taken" in stack.log_path.read_text()


def test_connections_wait_instead_of_being_refused_while_the_api_restarts(new_stack):
    stack = new_stack().wait_ready()
    host, port = stack.url.removeprefix("http://").split(":")
    os.kill(stack.pid_of("api"), signal.SIGKILL)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /bulk/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(12).startswith(b"HTTP/1.1")


def given_postgres(version: int, folder: Path) -> EmbeddedPostgres:
    server = EmbeddedPostgres(folder / "given", log=folder / "given.log", version=version)
    server.start()
    return server


@pytest.mark.parametrize("version", [15, 16])
def test_given_servers_are_used_and_left_alone(new_stack, tmp_path, version):
    programs = postgres_bin(version)
    shown = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True).stdout
    if f" {version}." not in shown:
        pytest.skip(f"PostgreSQL {version} is not at hand")
    postgres = given_postgres(version, tmp_path)
    redis = EmbeddedRedis(tmp_path / "given redis", log=tmp_path / "given-redis.log")
    redis.start()
    try:
        urls = {"DATABASE_URL": postgres.ensure_database("theirs"), "REDIS_URL": redis.url(1)}
        stack = new_stack(environment=urls).wait_ready()
        assert stack.database_url == urls["DATABASE_URL"]
        assert stack.redis_url == urls["REDIS_URL"]
        assert stack.pids["postgres"] is None
        assert stack.pids["redis"] is None
        assert not (stack.data_dir / "postgres").exists()
        stack.stop()
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
        with Redis.from_url(urls["REDIS_URL"]) as client:
            assert client.ping()
    finally:
        redis.stop()
        postgres.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests already run it as a normal user")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_it_runs_as_a_normal_user(tmp_path):
    """In a user namespace in which we are uid 1000, as far as the program can tell."""
    log = tmp_path / "log"
    ready = tmp_path / "ready.json"
    environment = {
        name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}
    }
    extrophi = Path(sys.executable).with_name("extrophi")
    command = [
        "unshare", "--user", "--map-user=1000", "--map-group=1000", extrophi, "up",
        "--port", "0", "--data-dir", tmp_path / "data", "--ready-file", ready,
    ]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        end = time.monotonic() + 60
        while not ready.exists():
            if "unshare failed" in log.read_text():
                pytest.skip("user namespaces are not available")
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        assert health(json.loads(ready.read_text())["url"])["status"] == "healthy"
        process.terminate()
        assert process.wait(40) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
