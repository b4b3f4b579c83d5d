"""API keys as text: how they are made, checked and hashed. Pure.

``extro_live_`` + 32 random base-62 characters (190 bits) + 6 base-62 characters of an HMAC over them. The
last six let a server refuse a forged or mistyped key without asking the database: the chance to guess them is
one in 62^6, about 5.7e10. The hash that the database keeps is an HMAC-SHA-256 over the whole key, so a stolen
table is useless without the pepper; 190 random bits need no slow password hash.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

PREFIX: Final = "extro_live_"
RANDOM_CHARACTERS: Final = 32
CHECK_CHARACTERS: Final = 6
LENGTH: Final = len(PREFIX) + RANDOM_CHARACTERS + CHECK_CHARACTERS
SHOWN_CHARACTERS: Final = len(PREFIX) + 4  # the prefix that lists show

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(re.escape(PREFIX) + r"[0-9A-Za-z]{38}", re.ASCII)
# One HMAC per purpose: a value of one can never stand for another.
_CHECK, _HASH, _DERIVE = b"extrophi/key-check\0", b"extrophi/key-hash\0", b"extrophi/key-derive\0"


def make(pepper: bytes, seed: bytes | None = None) -> str:
    """A fresh key.

    Args:
        pepper: the installation's secret.
        seed: at least 16 random bytes; the same seed and pepper give the same key again, so that a repeated
            request can be answered without the secret having been stored. None: random.
    """
    if seed is None:
        random = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARACTERS))
    else:
        number = int.from_bytes(hmac.digest(pepper, _DERIVE + seed, "sha256"), "big")
        random = _base62(number, RANDOM_CHARACTERS)  # 256 bits into 190: the bias is 2^-65
    return PREFIX + random + _check(random, pepper)


def is_well_formed(key: str, pepper: bytes) -> bool:
    """Whether this installation can have made ``key``. In constant time once the shape is right."""
    if len(key) != LENGTH or _SHAPE.fullmatch(key) is None:
        return False
    random = key[len(PREFIX) : -CHECK_CHARACTERS]
    return hmac.compare_digest(_check(random, pepper), key[-CHECK_CHARACTERS:])


def hash_of(key: str, pepper: bytes) -> bytes:
    """The 32 bytes that the database keeps of ``key``."""
    return hmac.digest(pepper, _HASH + key.encode(), "sha256")


def prefix_of(key: str) -> str:
    """The first characters, as lists show them."""
    return key[:SHOWN_CHARACTERS]


def last_four_of(key: str) -> str:
    """The last four characters, as lists show them."""
    return key[-4:]


def _check(random: str, pepper: bytes) -> str:
    digest = hmac.digest(pepper, _CHECK + random.encode(), "sha256")
    return _base62(int.from_bytes(digest, "big"), CHECK_CHARACTERS)


def _base62(number: int, digits: int) -> str:
    characters = []
    for _ in range(digits):
        number, remainder = divmod(number, 62)
        characters.append(_ALPHABET[remainder])
    return "".join(characters)
