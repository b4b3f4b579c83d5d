"""``extrophi keys create|list|rotate|revoke``: on the database itself, for whoever runs the installation."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from backend.auth import audit, changes, store
from backend.auth.rotation import rotate as rotate_key
from backend.auth.scopes import DEFAULT, LIMITS, SCOPES
from backend.cli import render
from backend.cli.database import database
from backend.cli.failures import AsJson, UsageProblem
from backend.db.session import unit_of_work

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_BY = {"by": "command line"}

KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the key alone.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the ``extrophi`` program."""
    keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys (in the database itself).")
    keys.command()(create)
    keys.command("list")(list_)
    keys.command()(rotate)
    keys.command()(revoke)
    app.add_typer(keys, name="keys")


def create(
    user: Annotated[
        str, typer.Option(help="Whose key it is; a user of that name is made when there is none.")
    ],
    name: Annotated[str, typer.Option(help="A label for the key.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do; repeat it. Without: all but admin. " + ", ".join(SCOPES)),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="A span (90d, 12h) or a time (2027-01-31T00:00:00Z); without: never.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(help="A limit of its own, as NAME=NUMBER; repeat it. " + ", ".join(LIMITS)),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown this once, and nobody can show it again."""
    expires_at, limits = _expiry(expires), _limits(limit or [])
    with database():
        owner = store.create_user(user)
        with unit_of_work() as connection:
            made = store.create_key(owner, name, scope or DEFAULT, expires_at, limits, connection=connection)
            audit.record(connection, None, "key.create", made.id, detail=_BY | {"user": user})
    _show(made, user, quiet=quiet, as_json=as_json)


def list_(
    user: Annotated[str, typer.Option(help="Whose keys.")],
    as_json: AsJson = False,
) -> None:
    """A user's keys, newest first, revoked and expired ones included."""
    found: list[store.KeyInfo] = []
    with database():
        owner = store.find_user(user)
        with unit_of_work(owner) as connection:
            while page := store.list_keys(
                connection, owner, before=found[-1].id if found else None, size=500
            ):
                found += page
    if as_json:
        render.document({"keys": [_line(key) for key in found]})
        return
    rows = [
        [key.id, key.name, f"{key.prefix}…{key.last_four}", key.state, " ".join(key.scopes),
         _time(key.expires_at) or "never", _time(key.last_used_at) or "never"]
        for key in found
    ]  # fmt: skip
    render.table(("id", "name", "key", "state", "scopes", "expires", "last used"), rows)


def rotate(
    key_id: KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the old key works beside the new one, as a span.")
    ] = "1d",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make a new key in place of an old one."""
    wanted, span = _id(key_id), _span(overlap)
    if span is None:
        raise UsageProblem(f"--overlap: not a span like 12h or 7d: {overlap[:40]}")
    with database():
        with unit_of_work() as connection:
            old = store.find_key(connection, wanted)
            made, old_hash = rotate_key(connection, old.user_id, wanted, span)
            detail = _BY | {"new_key": str(made.id), "overlap_seconds": int(span.total_seconds())}
            audit.record(connection, None, "key.rotate", wanted, detail=detail)
        changes.announce(old_hash)
    _show(made, None, quiet=quiet, as_json=as_json)


def revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """Make a key useless, at once and everywhere."""
    wanted = _id(key_id)
    with database():
        with unit_of_work() as connection:
            key = store.find_key(connection, wanted)
            key_hash = store.revoke(key.user_id, wanted, connection=connection)
            audit.record(connection, None, "key.revoke", wanted, detail=_BY)
        changes.announce(key_hash)
    if as_json:
        render.document({"id": str(wanted), "state": "revoked"})
    else:
        render.say(f"Revoked {key.prefix}…{key.last_four} ({key.name}).")


def _show(made: store.NewKey, user: str | None, *, quiet: bool, as_json: bool) -> None:
    named = {} if user is None else {"user": user}
    if as_json:
        render.document({"id": str(made.id), "key": made.key, "prefix": made.prefix, **named})
    elif quiet:
        typer.echo(made.key)
    else:
        shown = _line(made.info)
        render.facts({"key": made.key, **named, **{name: shown[name] for name in ("id", "name", "scopes")}})
        render.say("Keep it now: it cannot be shown again.")


def _line(key: store.KeyInfo) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "name": key.name,
        "prefix": key.prefix,
        "last_four": key.last_four,
        "state": key.state,
        "scopes": list(key.scopes),
        "limits": key.limits,
        "created_at": _time(key.created_at),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
        "last_used_at": _time(key.last_used_at),
    }


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UsageProblem(f"This is not a key's id: {text[:60]}") from None


def _span(text: str) -> timedelta | None:
    found = _SPAN.fullmatch(text.strip())
    try:
        return None if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        return None


def _expiry(text: str | None) -> datetime | None:
    if text is None:
        return None
    span = _span(text)
    try:
        when = datetime.now(UTC) + span if span is not None else datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageProblem(f"--expires: neither a span like 90d nor a time: {text[:40]}") from None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _limits(entries: list[str]) -> dict[str, int]:
    limits = {}
    for entry in entries:
        name, _, number = entry.partition("=")
        if name not in LIMITS or not (number.isascii() and number.isdigit()):
            raise UsageProblem(f"--limit: NAME=NUMBER, with NAME one of {', '.join(LIMITS)}: {entry[:60]}")
        limits[name] = int(number)
    return limits
