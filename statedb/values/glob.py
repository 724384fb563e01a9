"""A pattern over keys: `*` any run of characters (slashes too), `?` any one, `[abc]`, `[a-z]`, `[!a]`.

The part before the first special character bounds a range of keys, which the database reads from its index; only what
lies in that range is matched one by one. Order is by code point, which is the order of UTF-8 bytes.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

_SPECIAL = frozenset("*?[")

BEYOND = "\U0010ffff" * 257
"""Above every key there can be: keys have 1,024 bytes at most, which is 256 of these."""


class Glob(NamedTuple):
    """A pattern, ready: keys from `low` up to but not including `high` may match; `matches` None: all of them do."""

    low: str
    high: str
    matches: Callable[[str], object] | None

    def pick(self, keys: list[str]) -> list[str]:
        """Return the keys that match, of those in the range."""
        return keys if self.matches is None else [key for key in keys if self.matches(key)]

    def takes(self, key: str) -> bool:
        """Tell whether a key matches."""
        return self.low <= key < self.high and bool(self.pick([key]))


def is_pattern(text: str) -> bool:
    """Tell whether a text has special characters."""
    return not _SPECIAL.isdisjoint(text)


@lru_cache(maxsize=512)
def glob(pattern: str) -> Glob:
    """Return a pattern made ready. Everything but the special characters stands for itself."""
    prefix = literal(pattern)
    if prefix == pattern:
        return Glob(pattern, just_above(pattern), None)
    low, high = prefix, above(prefix)
    if pattern == prefix + "*":
        return Glob(low, high, None)
    # fnmatch escapes what is not special and writes its regular expression without nested repeats, so that no pattern
    # takes exponential time.
    return Glob(low, high, re.compile(fnmatch.translate(pattern)).match)


def just_above(text: str) -> str:
    """Return the lowest text above another: none holds NUL, so U+0001 is the least that may follow."""
    return text + "\x01"


def literal(pattern: str) -> str:
    """Return what a pattern begins with, up to its first special character."""
    return re.split(r"[*?[]", pattern, maxsplit=1)[0]


def above(prefix: str) -> str:
    """Return the lowest text above everything that begins with a prefix."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            following = last + 1 if last != 0xD7FF else 0xE000  # the surrogates between are no characters
            return prefix[:-1] + chr(following)
        prefix = prefix[:-1]
    return BEYOND
