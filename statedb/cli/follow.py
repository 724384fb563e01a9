"""What happens, printed line by line as it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from statedb.cli.forms import form
from statedb.cli.terminal import output
from statedb.cli.terminal.marks import Line, stamp


def follow(found: Iterable[Any], line: Callable[[Any], Line], limit: int | None, as_json: bool) -> None:
    """Print each, as soon as it is there, in one line: at most `limit` of them."""
    for each in found if limit is None else islice(found, limit):
        if as_json:
            output.json_line(form(each))
        else:
            output.styled([[*stamp(each), *line(each)]])
