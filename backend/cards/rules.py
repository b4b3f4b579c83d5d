"""Pure rules of a card: publish or not, its slug and URL, what makes two cards the same."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from hashlib import blake2b

SLUG_LENGTH = 60
# Of ASCII: letters small, digits as they are, spaces for all else.
_SIGNS = bytes(ord(chr(sign).lower()) if sign < 128 and chr(sign).isalnum() else 32 for sign in range(256))


@dataclass(frozen=True, slots=True)
class Publishing:
    """Which privacy levels an import publishes. Only BUSINESS and IDEAS ever are."""

    publish_business: bool = True
    publish_ideas: bool = True

    def levels(self) -> frozenset[str]:
        """The levels that are published."""
        wanted = (("BUSINESS", self.publish_business), ("IDEAS", self.publish_ideas))
        return frozenset(level for level, on in wanted if on)


def slug(title: str) -> str:
    """A title as it stands in a URL: ASCII letters, digits and hyphens, at most 60 characters.

    Accents are folded (NFKD); a title without any letter or digit of ASCII becomes ``card``.
    """
    return slug_bytes(title).decode()


def slug_bytes(title: str) -> bytes:
    """``slug``, in ASCII."""
    text = title[: SLUG_LENGTH * 2]
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    letters = text.encode("ascii", "ignore").translate(_SIGNS)
    return b"-".join(letters.split())[:SLUG_LENGTH].rstrip(b"-") or b"card"


def fingerprint(title: bytes, body: bytes, external_id: str | None) -> bytes:
    """16 bytes that are equal exactly when two cards of one owner are the same card.

    The ``external_id`` decides where there is one; otherwise title and body (in UTF-8) do. BLAKE2b with
    128 bits: no second look at the text is needed.
    """
    if external_id is not None:
        begun = _external.copy()
        begun.update(external_id.encode())
    else:
        begun = _content.copy()
        begun.update(len(title).to_bytes(4, "big") + title)
        begun.update(body)
    return begun.digest()


# Begun once and copied: quicker than beginning.
_external = blake2b(digest_size=16, person=b"external")
_content = blake2b(digest_size=16, person=b"content")
