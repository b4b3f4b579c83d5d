"""The reference says what the code says."""

from __future__ import annotations

import re

import pytest

from backend.api import problems
from backend.api.app import create_app
from backend.cards import schema
from backend.core import errors
from backend.core.settings import Settings
from backend.db.tables import metadata
from backend.operations.state import FINAL, TRANSITIONS, State, public
from backend.tests.docs import tables
from backend.tests.docs.pages import ROOT, page


@pytest.mark.parametrize("path", tables.files(), ids=lambda path: path.name)
def test_tables_that_are_made_from_the_code_are_up_to_date(path):
    made = tables.renewed(path.read_text())
    assert path.read_text() == made, "run: python -m backend.tests.docs.tables"


def test_every_setting_is_documented():
    rows = page("docs/reference/settings.md").table("## All of them\n\n<!-- made: settings -->")
    assert [row[0] for row in rows] == [name.upper() for name in Settings.model_fields]
    assert all(row[2] for row in rows)


@pytest.mark.parametrize("name", ["README.md", "docs", "CONTRIBUTING.md", "SECURITY.md"])
def test_only_settings_that_exist_are_named(name):
    known = {setting.upper() for setting in Settings.model_fields}
    endings = "SECONDS|BYTES|TIMEOUT|MINUTE|HOUR|RETENTION|URL|DIR|LEVEL|PEPPER|OPERATIONS|OWNER|CONCURRENCY"
    files = [ROOT / name] if name.endswith(".md") else sorted((ROOT / name).rglob("*.md"))
    for path in files:
        for word in re.findall(rf"`([A-Z][A-Z_]+_(?:{endings}))`", path.read_text()):
            assert word in known | {"EXTROPHI_URL"}, f"{path.name}: {word}"


def routes() -> dict[str, str]:
    """Every endpoint of the OpenAPI document, and the scope that it asks for."""
    found = {}
    for path, methods in create_app().openapi()["paths"].items():
        for method in methods:
            found[f"{method.upper()} {path}"] = ""
    return found


def test_every_endpoint_is_documented_and_no_other():
    rows = page("docs/reference/api.md").table("## Endpoints")
    assert sorted(row[0] for row in rows) == sorted(routes())


def test_the_documented_scopes_are_those_asked_for(database):
    """A key without any scope of use is refused by name."""
    from fastapi.testclient import TestClient

    from backend.auth import store as auth

    http = TestClient(create_app(), raise_server_exceptions=False)
    user = auth.create_user("narrow")
    keys = {
        scope: auth.create_key(user, "narrow", [scope]).key for scope in ("webhooks:manage", "cards:write")
    }
    for endpoint, scope, _ in page("docs/reference/api.md").table("## Endpoints"):
        if scope == "none":
            continue
        method, path = endpoint.split()
        path = re.sub(r"\{\w+\}", "01a20b72-8476-7665-ba3f-fe5fa4ffffff", path)
        headers = {"Authorization": f"Bearer {keys['webhooks:manage']}", "Content-Type": "application/json"}
        answer = http.request(method, path, headers=headers)
        assert answer.status_code == 403, (endpoint, answer.text)
        assert answer.json()["detail"].endswith(f"scope {scope}"), endpoint


def test_the_fields_of_bodies_are_documented():
    from backend.api import schemas

    text = page("docs/reference/api.md").text
    for model in (
        schemas.ImportBody,
        schemas.FileOptions,
        schemas.CardBody,
        schemas.ExportBody,
        schemas.DeleteBody,
    ):
        for name in model.model_fields:
            assert f"`{name}`" in text, name


def error_codes() -> dict[str, int]:
    found = {kind.code: status for kind, status in problems.STATUS.items()}
    found |= {"internal_error": 500, "method_not_allowed": 405}
    kinds = {kind.__name__: status for kind, status in problems.STATUS.items()}
    for path in (ROOT / "backend").rglob("*.py"):
        if "tests" in path.parts or "client" in path.parts or "cli" in path.parts:
            continue
        for kind, code in re.findall(r'\b([A-Z]\w+)\((?:[^()]|\([^()]*\))*?code="(\w+)"', path.read_text()):
            if kind in kinds:
                found[code] = kinds[kind]
    return found


def test_every_error_code_is_documented_with_its_status():
    rows = page("docs/reference/errors.md").table("## Requests")
    assert {row[0]: int(row[1]) for row in rows} == error_codes()
    # Of the house's own errors; what other modules add in this process depends on which tests ran before.
    ours = {kind for kind in errors.ExtrophiError.__subclasses__() if kind.__module__ == errors.__name__}
    assert set(problems.STATUS) == ours | {errors.MalformedBody}


def item_codes() -> set[str]:
    found = {"part_failed"} if "part_failed" in (ROOT / "backend/operations/ending.py").read_text() else set()
    pattern = (
        r'(?:CardProblem|ItemProblem|_Problem)\(\s*"(\w+)"|(?:\.fail\(\s*\w+,|ItemError\(\s*\w+,)\s*"(\w+)"'
    )
    for folder in ("cards", "formats", "operations"):
        for path in (ROOT / "backend" / folder).rglob("*.py"):
            for groups in re.findall(pattern, path.read_text()):
                found |= {group for group in groups if group}
    return found


def test_every_code_of_a_failed_item_is_documented():
    rows = page("docs/reference/errors.md").table("## Items")
    assert item_codes() <= {row[0] for row in rows}
    everything = "\n".join(
        path.read_text() for folder in ("cards", "formats", "operations")
        for path in (ROOT / "backend" / folder).rglob("*.py")
    )  # fmt: skip
    assert [row[0] for row in rows if f'"{row[0]}"' not in everything] == []


def test_every_metric_is_documented_and_no_other(database):
    from backend.api import metrics

    exposed = set(re.findall(r"^# TYPE (extrophi_\w+)", metrics.exposition().decode(), re.MULTILINE))
    exposed = {name for name in exposed if not name.endswith("_created")}
    rows = page("docs/reference/metrics.md").table("## Metrics of this service")
    types = dict(re.findall(r"^# TYPE (extrophi_\w+) (\w+)", metrics.exposition().decode(), re.MULTILINE))
    assert {row[0] for row in rows} == exposed
    assert {row[0]: row[1] for row in rows} == {name: types[name] for name in exposed}


def test_each_thing_to_monitor_has_a_metric():
    known = {row[0] for row in page("docs/reference/metrics.md").table("## Metrics of this service")}
    rows = page("docs/reference/metrics.md").table("## What to monitor")
    assert [row[0] for row in rows] == [
        "task queue length", "task execution time", "worker availability",
        "database connection pool usage", "Redis memory usage", "error rate per task type",
    ]  # fmt: skip
    assert {name.strip() for row in rows for name in row[1].split(",")} <= known
    for alert in re.findall(r"`(extrophi_\w+)", page("docs/how-to/operate.md").text):
        assert alert.removesuffix("_count") in known


def test_limits_are_the_settings():
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    units = {"MiB": 2**20, "GiB": 2**30, "s": 1, "hour": 3600}
    rows = page("docs/reference/limits.md").table("# Limits")
    assert len(rows) > 10
    for _, shown, setting in rows:
        number, _, unit = shown.replace(",", "").partition(" ")
        assert int(number) * units.get(unit, 1) == defaults[setting], setting


def test_retention_periods_are_the_settings():
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    for _, shown, setting in page("docs/how-to/retention.md").table("# Decide how long things are kept"):
        if setting:
            number, unit = shown.split()[:2]
            assert int(number) * {"days": 86_400, "hours": 3_600}[unit] == defaults[setting]


def test_every_table_and_index_is_documented_and_no_other(database):
    import psycopg

    schema_page = page("docs/database-schema.md")
    assert {row[0] for row in schema_page.table("## Tables")} == set(metadata.tables)
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
        existing = {row[0] for row in rows}
    documented = schema_page.table("## Indexes")
    assert {row[0] for row in documented} == existing
    assert all(row[2] for row in documented), "each with the reason it is there"


def test_the_fields_and_limits_of_a_card_are_documented():
    rows = {row[0]: row[2] for row in page("docs/reference/api.md").table("A **card**:\n")}
    assert set(rows) == schema.KNOWN - schema.IGNORED
    for name, most in (
        ("title", schema.MAX_TITLE), ("category", schema.MAX_CATEGORY), ("tags", schema.MAX_TAGS),
        ("tags", schema.MAX_TAG), ("source_url", schema.MAX_URL), ("external_id", schema.MAX_EXTERNAL_ID),
        ("source_platform", schema.MAX_PLATFORM),
    ):  # fmt: skip
        assert f"{most:,}" in rows[name], name


def test_the_drawn_state_machine_is_the_codes():
    text = page("docs/explanation/state-machine.md").blocks("mermaid")[0].text
    arrows = {tuple(one) for one in re.findall(r"(\S+) --> (\S+)", text)}
    inner = {(a, b) for a, following in TRANSITIONS.items() for b in following}
    ends = {("[*]", State.PENDING)} | {(state, "[*]") for state in FINAL}
    assert arrows == {(str(a), str(b)) for a, b in inner | ends}


def test_what_the_status_says_of_each_state_is_documented():
    rows = states_table()
    assert {row[0]: row[2].split(",")[0] for row in rows} == {state.value: public(state) for state in State}


def states_table() -> list[list[str]]:
    text = page("docs/explanation/state-machine.md").prose()
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def packages() -> set[str]:
    return {
        str(path.parent.relative_to(ROOT)) for path in (ROOT / "backend").rglob("__init__.py")
        if "tests" not in path.parts and path.parent.name not in ("backend", "versions")
    }  # fmt: skip


def test_the_map_of_the_house_is_the_tree():
    rows = page("docs/explanation/architecture.md").table("## The house")
    documented = {row[0] for row in rows} - {"backend/tests"}
    assert documented == packages()


def test_files_that_are_named_exist():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for name in re.findall(r"`((?:backend|docs|scripts|requirements)/[\w./-]+)`", path.read_text()):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_the_layers_of_the_document_are_those_that_are_checked():
    import tomllib

    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    text = page("docs/explanation/architecture.md").text.partition("## Who may import whom")[2]
    drawn = next(line for line in text.splitlines() if " > " in line)
    layers = [sorted(re.findall(r"`(\w+)`", row)) for row in drawn.split(" > ")]
    assert layers == [sorted(name.strip() for name in row.split("|")) for row in contract["layers"]]


def test_the_celery_page_names_the_real_tasks_and_settings():
    from backend.queue.celery_app import PURGE, RUN, SWEEP, app

    celery = page("docs/celery-setup.md")
    assert {row[0] for row in celery.table("## Tasks")} == {RUN, SWEEP, PURGE}
    assert (app.conf.task_soft_time_limit, app.conf.task_time_limit) == (3300, 3600)
    assert app.conf.broker_transport_options["visibility_timeout"] == 2 * app.conf.task_time_limit
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.worker_soft_shutdown_timeout == 30
    for row in celery.table("## Settings that matter"):
        for name in re.findall(r"[a-z]+_[a-z_]+", row[0]):
            assert name in app.conf or name == "visibility_timeout", name
