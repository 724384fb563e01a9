"""What happens, printed line by line as it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import typer

from statedb.cli.forms import form
from statedb.cli.signals import Asked, ending, heeded
from statedb.cli.terminal import output
from statedb.cli.terminal.marks import Line, stamp


@contextmanager
def until_asked() -> Iterator[None]:
    """Have a signal end what the block does, and the program with the status that tells of it."""
    # Not left to the signal itself: a watch that is killed leaves the file behind by which it is woken.
    try:
        with heeded(ending):
            yield
    except Asked as asked:
        raise typer.Exit(128 + asked.number) from None


def follow(found: Iterable[Any], line: Callable[[Any], Line], limit: int | None, as_json: bool) -> None:
    """Print each, as soon as it is there, in one line: at most `limit` of them."""
    for each in found if limit is None else islice(found, limit):
        if as_json:
            output.json_line(form(each))
        else:
            output.styled([[*stamp(each), *line(each)]])
