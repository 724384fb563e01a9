"""The data that is measured on a server: a database made once, copies of it for each contender."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from benchmarks.postgres import floors
from benchmarks.postgres.server import Server
from benchmarks.sample import fill
from statedb import Store

_NAME = "template_store"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Template:
    """A store to copy, which nobody is connected to. `middle` is a revision at which DEEP had half its versions."""

    server: Server
    keys: int
    middle: int

    def copy(self) -> str:
        """Return the URL of a copy, equal in every byte and so in its layout and its statistics."""
        return self.server.create(f"store_{next(_numbers)}", _NAME)


def template(server: Server, keys: int) -> Template:
    """Make the store that every measurement starts from, as it is after a night's vacuum."""
    url = server.create(_NAME)
    with Store(url, durability="normal") as store:
        middle = fill(store, keys)
    with floors.connect(url) as db:
        db.execute("vacuum analyze")
    return Template(server, keys, middle)
