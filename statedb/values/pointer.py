"""JSON Pointer, the name of a place inside a value: text and its parts, as a mirrored pair."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BAD_ESCAPE = re.compile(r"~(?![01])")


def parse(text: str) -> tuple[str, ...]:
    """Return the parts of a pointer, unescaped; "" is the whole value and has none.

    Raises ValueError where the text is no pointer. RFC 6901; its URI form ("#/a") is not taken.
    """
    if text and not text.startswith("/"):
        raise ValueError("a JSON Pointer is empty or starts with /")
    if _BAD_ESCAPE.search(text):
        raise ValueError("in a JSON Pointer ~ is written ~0 and / inside a name ~1")
    # ~1 first: the other way round ~01, which says "~1", would come out as "/".
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def render(parts: Iterable[str]) -> str:
    """Return the pointer of these parts, the inverse of `parse`."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
