"""The data that is measured on a server: a database made once, copies of it for each contender."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from benchmarks.postgres import floors
from benchmarks.postgres.server import Server
from benchmarks.sample import fill, whole_versions
from statedb import Store

_NAME, _BY_HAND = "template_store", "template_plain"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Template:
    """A store to copy, which nobody is connected to. `middle` is a revision at which DEEP had half its versions."""

    server: Server
    keys: int
    middle: int

    def copy(self, *, by_hand: bool = False) -> str:
        """Return the URL of a copy, equal in every byte and so in its layout and its statistics.

        `by_hand`: one whose versions are whole.
        """
        return self.server.create(f"store_{next(_numbers)}", _BY_HAND if by_hand else _NAME)


def template(server: Server, keys: int) -> Template:
    """Make the store that every measurement starts from, as it is after a night's vacuum."""
    with whole_versions():
        _made(server, _BY_HAND, keys)
    return Template(server, keys, _made(server, _NAME, keys))


def _made(server: Server, name: str, keys: int) -> int:
    url = server.create(name)
    with Store(url, durability="normal") as store:
        middle = fill(store, keys)
    with floors.connect(url) as db:
        db.execute("vacuum analyze")
    return middle
