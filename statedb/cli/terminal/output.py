"""Standard output: JSON for programs, tables and lines for people; and standard input."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase, BytesIO, RawIOBase
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from statedb.cli.forms import plain
from statedb.cli.terminal.texts import one_line, safe_json, shortened
from statedb.models import UNAVAILABLE

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console, RenderableType

CELL = 200
"""Characters of a value or message that a table shows; `show` and --json have all of it."""
_held: BytesIO | None = None
"""Where output goes while it is held back."""
WIDE = 4000
"""Columns of a table that is piped: nothing is cut to the width of a terminal that is not there."""


class _Whole(BufferedIOBase):
    """A raw output as one that takes all it is given, or fails."""

    def __init__(self, taker: RawIOBase) -> None:
        self._taker = taker

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        left = memoryview(data)
        while left:
            taken = self._taker.write(left)
            if taken is None:
                raise BlockingIOError(errno.EAGAIN, "standard output would have to be waited for")
            left = left[taken:]
        return len(data)


def stdout() -> BinaryIO:
    """Return standard output as bytes, past the encoding of text, which need not be UTF-8."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    found = sys.stdout.buffer
    # With PYTHONUNBUFFERED it is raw in spite of its name: its write may take a part, and says so to nobody.
    return cast(BinaryIO, _Whole(found)) if isinstance(found, RawIOBase) else found


def stdin() -> BinaryIO:
    """Return standard input as bytes."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer


@contextmanager
def held() -> Iterator[BytesIO]:
    """Hold back what the block prints, and return it; where the block fails, it is printed before that is said."""
    global _held
    _held = kept = BytesIO()
    try:
        yield kept
    except BaseException:
        _held = None
        raw(kept.getvalue())
        raise
    finally:
        _held = None


def raw(data: bytes) -> None:
    """Print bytes as they are."""
    if _held is not None:
        _held.write(data)
        return
    out = stdout()
    out.write(data)
    out.flush()


def json(document: Any) -> None:
    """Print one JSON document: indented on a terminal, on one line in a pipe."""
    raw(f"{_json_text(document, people=is_terminal())}\n".encode())


def json_line(document: Any) -> None:
    """Print one of many JSON documents, each on a line of its own."""
    text = _json_text(document, people=False)
    raw(f"{safe_json(text) if is_terminal() else text}\n".encode())


def value(found: Any, as_json: bool) -> None:
    """Print a value: JSON, or bytes as they are."""
    if isinstance(found, bytes) and not as_json:
        raw(found)
    else:
        json(plain(found))


def printed(found: Any) -> bytes:
    """Return a value as a program is given it: JSON on one line, or bytes as they are."""
    return found if isinstance(found, bytes) else _json_text(found, people=False).encode() + b"\n"


def line(text: str) -> None:
    """Print one line for people."""
    lines([text])


def lines(texts: Iterable[str]) -> None:
    """Print a line for each text."""
    raw("".join(f"{one_line(text)}\n" for text in texts).encode())


def styled(texts: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Print lines made of parts, each with its style, which a terminal alone is shown."""
    if not is_terminal():
        return lines("".join(part for part, _ in parts) for parts in texts)
    from rich.text import Text

    shown = Text("\n", overflow="ignore").join(
        Text.assemble(*((one_line(part), style) for part, style in parts)) for parts in texts
    )
    if shown.plain:
        show(console(WIDE), shown, wrap=False)


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names with what is known under them, a line each; what is None is left out, unless it is the value."""
    for name, known in pairs:
        if known is not None or name == "value":
            said = _json_text(known, people=True) if name == "value" else fact(known)
            first, *more = said.split("\n")
            named = (f"{name.replace('_', ' '):<15} ", "bold cyan")
            styled([[named, (first, "")], *([(each, "")] for each in more)])


def fact(known: Any) -> str:
    """Return something as people read it: a time to the microsecond, text as it is, all else as JSON."""
    if isinstance(known, str):
        return one_line(known)
    if hasattr(known, "isoformat"):
        return f"{known.isoformat(sep=' ').removesuffix('+00:00')}Z"
    return _json_text(known, people=True)


def console(width: int) -> Console:
    """Return a console on standard output: as wide as the terminal, or `width` columns where there is none."""
    from rich.console import Console

    # Told, since rich would also take FORCE_COLOR for a terminal: a program that reads would find colours in its input.
    made = Console(
        highlight=False, markup=False, emoji=False, force_terminal=sys.stdout is not None and sys.stdout.isatty()
    )
    if not made.is_terminal:
        made.width = width
    return made


def show(shown: Console, renderable: RenderableType = "", *, wrap: bool = True) -> None:
    """Print what rich renders, in lines of the console's width or, without `wrap`, of their own."""
    # Not printed by rich itself: that ends the program with a code of its own when nobody reads any more, and writes
    # in the encoding the terminal is said to have, which may know no dots.
    with shown.capture() as captured:
        shown.print(renderable, soft_wrap=not wrap)
    text = captured.get()
    if not shown.is_terminal:  # no line of a table needs to be as long as its longest
        text = "\n".join(each.rstrip(" ") for each in text.split("\n"))
    raw(text.encode())


def when(moment: datetime) -> str:
    """Return a time as tables show it, in UTC and to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def brief(found: Any) -> str:
    """Return a value on one line, its beginning where it is long."""
    if found is UNAVAILABLE:
        return "erased"
    return f"{len(found):,} bytes" if isinstance(found, bytes) else shortened(_json_text(found, people=False), CELL)


def _json_text(document: Any, *, people: bool) -> str:
    from pydantic_core import to_json

    # A query can find infinities; by default they would be printed as constants that no parser of JSON need know.
    text = to_json(document, indent=2 if people else None, inf_nan_mode="null").decode()
    return safe_json(text) if people else text


def is_terminal() -> bool:
    """Tell whether somebody looks at standard output, on a terminal that can do more than print."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
