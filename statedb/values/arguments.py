"""Arguments that are no values: numbers and texts a caller says, checked before anything is done."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

from statedb.errors import InvalidValue

LARGEST = 2**62
"""Above every revision, version and row there can be."""


def natural(number: Any, what: str, least: int = 0) -> int:
    """Return a whole number of at least `least`; one beyond everything is cut to that. Raises InvalidValue."""
    if type(number) is not int or number < least:
        raise InvalidValue(f"{what} is {_shown(number)}; it is a whole number, {least} or more")
    return min(number, LARGEST)


def natural_or_all(number: Any, what: str) -> int:
    """Return a number of rows, beyond everything for None. Raises InvalidValue."""
    return LARGEST if number is None else natural(number, what)


def patience(timeout: Any) -> float | None:
    """Return for how many seconds to wait, None for ever. Raises InvalidValue."""
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0):
        raise InvalidValue(f"timeout is {_shown(timeout)}; it is seconds, 0 or more, or None for ever")
    return timeout


def said(text: Any, what: str) -> str | None:
    """Return a text that may be stored, or None. Raises InvalidValue."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidValue(f"{what} is {_shown(text)}; it is text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{what} holds a lone surrogate, which UTF-8 cannot carry") from None
    if "\0" in text:
        raise InvalidValue(f"{what} holds NUL (U+0000), which a server cannot store")
    return str.__str__(text)


def plain(fn: Any, caller: str) -> None:
    """Refuse a function that could only be awaited, where nobody would. Raises InvalidValue."""
    if iscoroutinefunction(fn):
        raise InvalidValue(
            f"{caller} takes a plain function, on AsyncStore too: no async def, no await inside. For asynchronous code "
            "there is `async with store.transaction() as tx`"
        )


def handler(fn: Any, caller: str, where: str = ", on AsyncStore too") -> None:
    """Refuse what cannot be called, or only be awaited, which nobody would. Raises InvalidValue."""
    if not callable(fn) or iscoroutinefunction(fn):
        raise InvalidValue(f"{caller} takes a plain function{where}, and not {_shown(fn)}")


def _shown(thing: Any) -> str:
    try:
        return f"{thing!r:.80}"
    except ValueError:  # an integer of more digits than Python prints
        return f"a very large {type(thing).__name__}"
