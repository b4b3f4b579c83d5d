"""Presets that are archives, or one file of them: Obsidian's vault, Notion's export, Twitter's archive."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from posixpath import basename
from typing import Any, cast

from backend.core.errors import MalformedBody
from backend.formats.base import MIB, Limits, Record
from backend.formats.front_matter import split_front_matter
from backend.formats.opening import CheckedZip, decoded, is_zip, opened_zip
from backend.formats.presets import notion_page, obsidian_note, tweet
from backend.formats.presets.archives import account_file, path_in_vault, tweet_files, vault_roots
from backend.formats.presets.failed_before import failed_before
from backend.formats.presets.notion_archive import Archive, notion_records, read_page
from backend.formats.presets.tweets_js import elements
from backend.formats.sources import Source, is_row, to_record
from backend.formats.text_rows import table


class ObsidianSource(Source):
    """A record is a note: ``{"path", "text"}``, the path inside of the vault."""

    name = "obsidian"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        failed = failed_before(path, encoding, limits)
        if failed is not None:
            yield from failed
            return
        with opened_zip(path, encoding, limits) as archive:
            names = archive.names()
            roots = vault_roots(names)
            for place, name in enumerate(names, start=1):
                inside = path_in_vault(name, roots)
                if obsidian_note.is_note(inside):
                    yield to_record(
                        read_page(archive, name, limits.max_record_bytes) | {"path": inside}, place
                    )

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        if not is_page(record):
            return None
        front_matter, body = split_front_matter(record["text"])
        return obsidian_note.card_from_note(record["path"], front_matter, body, options)


class NotionSource(Source):
    """A record is a page ``{"path", "text"}``, a database's row ``{"path", "header", "row"}``, or a plain row
    where one CSV was sent: then the context is ``{"header": […]}``."""

    name = "notion"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        if is_zip(path, encoding, limits):
            with opened_zip(path, encoding, limits) as archive:
                for record in notion_records(archive, _part, limits.max_record_bytes):
                    yield to_record(record, None)
            return
        failed = failed_before(path, encoding, limits)
        if failed is not None:
            yield from failed
            return
        with decoded(path, encoding, limits) as stream:
            for header, row, line in table(stream, limits.max_record_bytes):
                self._context = {"header": header}
                yield to_record(row, line)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        if is_row(record):
            return notion_page.card_from_row(context.get("header", ()), record, "", options)
        if is_page(record):
            columns = record.get("columns")
            return notion_page.card_from_page(
                record["path"], record["text"], columns if is_row(columns) else None, options
            )
        if isinstance(record, dict) and is_row(record.get("header")) and is_row(record.get("row")):
            stem = basename(str(record.get("path", ""))).rsplit(".", 1)[0].removesuffix("_all")
            return notion_page.card_from_row(
                record["header"], record["row"], notion_page.split_id(stem)[0], options
            )
        return None


class TwitterSource(Source):
    """A record is an element of ``tweets.js``. The context is ``{"screen_name": …}`` from ``account.js``."""

    name = "twitter"

    def split(self, path: Path, encoding: str | None, limits: Limits) -> Generator[Record, None, None]:
        failed = failed_before(path, encoding, limits)
        if failed is not None:
            yield from failed
            return
        longest = limits.max_record_bytes
        if not is_zip(path, encoding, limits):
            with decoded(path, encoding, limits) as stream:
                for place, raw in enumerate(elements(stream, longest), start=1):
                    yield Record(raw, place)
            return
        with opened_zip(path, encoding, limits) as archive:
            files = tweet_files(archive.names())
            if not files:
                raise MalformedBody("The archive has no data/tweets.js")
            self._context = {"screen_name": _screen_name(archive)}
            place = 0
            for name in files:
                with archive.open(name) as stream:
                    for raw in elements(stream, longest):
                        place += 1
                        yield Record(raw, place)

    @classmethod
    def card(
        cls, context: Mapping[str, Any], record: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        if not isinstance(record, dict):
            return None
        return tweet.card_from_tweet(record, str(context.get("screen_name", "")), options)


def is_page(record: Any) -> bool:
    """Whether it is ``{"path", "text"}``."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("path"), str)
        and isinstance(record.get("text"), str)
    )


def _part(archive: Archive, name: str) -> AbstractContextManager[Archive]:
    return cast(CheckedZip, archive).open_part(name)


def _screen_name(archive: CheckedZip) -> str:
    """The account's name; a damaged ``account.js`` only costs the nicer link."""
    name = account_file(archive.names())
    if name is None:
        return ""
    try:
        with archive.open(name) as stream:
            first = next(elements(stream, MIB), b"{}")
    except MalformedBody:
        return ""
    element = json.loads(first)
    account = element.get("account") if isinstance(element, dict) else None
    found = account.get("username") if isinstance(account, dict) else None
    return found if isinstance(found, str) else ""
