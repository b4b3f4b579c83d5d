"""A tweet of a Twitter (X) archive as a card.

The archive writes every number as a string, ``&``, ``<`` and ``>`` as character references and every link
as ``https://t.co/…``; all three are undone here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from backend.formats.fitting import Draft, first_line
from backend.formats.presets.times import read_time

DEFAULT_CATEGORY = "TWEETS"
PLATFORM = "twitter"
_SHORT_LINK = re.compile(r"https?://t\.co/[A-Za-z0-9]+")
_REFERENCE = re.compile(r"&(amp|lt|gt);")
_REFERENCES = {"amp": "&", "lt": "<", "gt": ">"}
_HASHTAG = re.compile(r"(?<![\w&/])[#＃](\w*[^\W\d_]\w*)")
_CLIENT = re.compile(r"<a\s[^<>]*>([^<>]*)</a>\s*\Z")
_SCREEN_NAME = re.compile(r"[A-Za-z0-9_]{1,20}\Z")
_COUNTS = ("favorite_count", "retweet_count")
_KEPT = (
    "lang",
    "in_reply_to_status_id_str",
    "in_reply_to_screen_name",
    "in_reply_to_user_id_str",
    "possibly_sensitive",
    "coordinates",
    "edit_info",
)


def card_from_tweet(
    record: Mapping[str, Any], screen_name: str, options: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The card of one element of ``tweets.js``; ``None`` where it is no tweet (neither a text nor an id).

    Args:
        record: ``{"tweet": {…}}``, or the tweet itself as older archives have it.
        screen_name: the account's name from the archive's ``account.js``, ``""`` where it is not known:
            then the link goes by the id alone, which Twitter resolves.
        options: ``default_category``, ``default_privacy_level``.
    """
    inner = record.get("tweet")
    tweet: Mapping[str, Any] = inner if isinstance(inner, Mapping) else record
    tweet_id = _string(tweet, "id_str") or _string(tweet, "id")
    raw_text = _string(tweet, "full_text") or _string(tweet, "text")
    if not tweet_id and not raw_text:
        return None
    links = dict(_links(tweet))
    text = _SHORT_LINK.sub(
        lambda found: links.get(found[0], found[0]),
        _REFERENCE.sub(lambda found: _REFERENCES[found[1]], raw_text),
    )
    draft = Draft(PLATFORM, DEFAULT_CATEGORY)
    draft.title(first_line(text), f"Tweet {tweet_id}")
    draft.body(text)
    draft.tags(_hashtags(tweet, text))
    draft.external_id(tweet_id)
    if tweet_id.isascii() and tweet_id.isdigit():
        owner = screen_name if _SCREEN_NAME.match(screen_name) else ""
        draft.url(f"https://twitter.com/{owner or 'i/web'}/status/{tweet_id}")
    created = _string(tweet, "created_at")
    draft.created_at(created, read_time(created), "created_at")
    _describe(draft, tweet, raw_text)
    return draft.finish(options)


def _describe(draft: Draft, tweet: Mapping[str, Any], raw_text: str) -> None:
    """What a card has no field for: counts, the reply, the people, the pictures."""
    for name in _COUNTS:
        count = _string(tweet, name)
        draft.note(name, int(count) if count.isascii() and count.isdigit() and len(count) < 19 else count)
    for name in _KEPT:
        value = tweet.get(name)
        if value is not False:
            draft.note(name, value)
    if raw_text.startswith("RT @") or tweet.get("retweeted") is True:
        draft.note("retweet", True)
    client = _CLIENT.search(_string(tweet, "source"))
    draft.note("client", client[1] if client else _string(tweet, "source"))
    draft.note("mentions", [_string(person, "screen_name") for person in _entities(tweet, "user_mentions")])
    addresses = (
        _string(item, "media_url_https") or _string(item, "media_url") for item in _entities(tweet, "media")
    )
    draft.note("media", list(dict.fromkeys(address for address in addresses if address)))


def _links(tweet: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What each short link stands for; a picture's stands for its page."""
    for kind in ("urls", "media"):
        for item in _entities(tweet, kind):
            short, long = _string(item, "url"), _string(item, "expanded_url")
            if short and long:
                yield short, long


def _hashtags(tweet: Mapping[str, Any], text: str) -> list[str]:
    """The hashtags as the archive lists them, or as the text has them where it lists none."""
    listed = [_string(item, "text") for item in _entities(tweet, "hashtags")]
    return [tag for tag in listed if tag] or _HASHTAG.findall(_SHORT_LINK.sub("", text))


def _entities(tweet: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """All entities of a kind, the extended ones (every picture, not just the first) after the plain ones."""
    for name in ("entities", "extended_entities"):
        entities = tweet.get(name)
        items = entities.get(kind) if isinstance(entities, Mapping) else None
        for item in items if isinstance(items, list) else []:
            if isinstance(item, Mapping):
                yield item


def _string(holder: Mapping[str, Any], name: str) -> str:
    """A value as text: the archive has numbers as strings, the API had them as numbers."""
    value = holder.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
