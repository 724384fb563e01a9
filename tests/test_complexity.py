"""What an operation costs does not grow with the history or with the keys beside it.

Counted are the steps of SQLite's virtual machine on every connection of the store: the same on any machine, however
busy. A row read is several steps, so whoever reads more rows than before makes more of them; a search in an index is
one step, however deep the index. Seconds are for `make bench-scale`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from statedb import Store

AGENT, TIER = "agent-1", "persistent"
BUSY, QUIET, LEFT = "busy", "quiet", "left"
"""A key with the versions, and two whose few versions lie behind those; the last is read only."""
FEW = 25
Call = Callable[[], object]
_CALLS = 16


class Steps:
    """Counts the steps of all connections that were opened since."""

    def __init__(self) -> None:
        self._count = 0

    def connected(self, raw: sqlite3.Connection) -> sqlite3.Connection:
        raw.set_progress_handler(self._tick, 1)
        return raw

    def of(self, call: Call) -> int:
        """Return the steps of some calls in a row: of versions kept as deltas, every so many is further from its base.

        One goes before them, which may open a connection or look something up.
        """
        call()
        self._count = 0
        for _ in range(_CALLS):
            call()
        return self._count

    def _tick(self) -> int:
        self._count += 1
        return 0


@dataclass(frozen=True, slots=True)
class Filled:
    """A store with a history of that length and so many other keys; what is asked is in its middle."""

    store: Store
    path: Path
    length: int
    steps: Steps

    @property
    def middle(self) -> int:
        return self.length // 2

    def revision(self) -> int:
        return self.store.history.get(AGENT, TIER, BUSY, self.middle).revision


def _value(number: int) -> dict[str, Any]:
    """Return a value of 1 KB of JSON, large enough to be kept as a delta."""
    return {"turn": number, "words": [f"word {each}" for each in range(90)]}


def _filled(path: Path, length: int, keys: int) -> Filled:
    steps = Steps()
    connect = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *args, **kwargs: steps.connected(connect(*args, **kwargs)))
        store = Store(path, durability="normal")
        store.states.get(AGENT, TIER, QUIET)  # opens the connection for reading
    transfer = store.transfer
    for key in (LEFT, QUIET):
        transfer.load_versions(AGENT, TIER, key, ((float(at), _value(at)) for at in range(1, FEW + 1)))
    transfer.load_versions(AGENT, TIER, BUSY, ((1000.0 + at, _value(at)) for at in range(1, length + 1)))
    store.states.set_many(AGENT, TIER, {f"key/{number:05d}": number for number in range(keys)})
    for number in range(FEW):  # so that the newest commits are of one key each, as those in the middle
        store.states.set(AGENT, TIER, QUIET, _value(-number))
    return Filled(store, path, length, steps)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filled, Filled]]:
    """A store with little in it and one with fifty times as many versions and two hundred times as many keys."""
    folder = tmp_path_factory.mktemp("complexity")
    few, many = _filled(folder / "few.db", 100, 10), _filled(folder / "many.db", 5_000, 2_000)
    yield few, many
    few.store.close()
    many.store.close()


def _get(filled: Filled, key: str) -> Call:
    return lambda: filled.store.states.get(AGENT, TIER, key)


def _set(filled: Filled, key: str) -> Call:
    turns = iter(range(10**6, 2 * 10**6))
    return lambda: filled.store.states.set(AGENT, TIER, key, _value(next(turns)))


def _expected(filled: Filled, key: str) -> Call:
    def call() -> None:
        entry = filled.store.states.entry(AGENT, TIER, key)
        assert entry is not None
        value = entry.value | {"expected": entry.version}
        filled.store.states.set(AGENT, TIER, key, value, expected_version=entry.version)

    return call


def _update(filled: Filled, key: str) -> Call:
    return lambda: filled.store.states.update(AGENT, TIER, key, lambda value: value | {"turn": value["turn"] + 1})


def _versions(filled: Filled, key: str) -> Call:
    return lambda: filled.store.history.versions(AGENT, TIER, key, limit=10)


def _version(filled: Filled, key: str) -> Call:
    number = filled.middle if key == BUSY else FEW // 2
    return lambda: filled.store.history.get(AGENT, TIER, key, number)


def _diff(filled: Filled, key: str) -> Call:
    number = filled.middle if key == BUSY else FEW // 2
    return lambda: filled.store.history.diff(AGENT, TIER, key, number, number + 1)


def _at(filled: Filled, key: str) -> Call:
    revision = filled.revision()
    return lambda: filled.store.at(revision).states.get(AGENT, TIER, key)


def _changes(filled: Filled, _: str) -> Call:
    revision = filled.revision()
    return lambda: filled.store.history.changes(revision, revision + 3)


def _feed(filled: Filled, _: str) -> Call:
    revision = filled.revision()
    return lambda: filled.store.feed.changes(revision, limit=10)


def _commits(filled: Filled, _: str) -> Call:
    return lambda: filled.store.history.commits(limit=5)


def _commits_of_agent(filled: Filled, _: str) -> Call:
    revision = filled.revision()
    return lambda: filled.store.history.commits(agent_id=AGENT, before=revision, limit=5)


def _restore(filled: Filled, key: str) -> Call:
    def call() -> None:
        point = filled.store.transfer.head()
        filled.store.states.set(AGENT, TIER, key, {"point": point})
        filled.store.restore(point)

    return call


def _checkpoint(filled: Filled, key: str) -> Call:
    names = count()
    return lambda: filled.store.checkpoints.create(f"{key} {next(names)}")


def _merge(filled: Filled, key: str) -> Call:
    numbers, name = count(), f"merged {key}"
    filled.store.branches.create(name)
    lab = filled.store.branch(name)

    def call() -> None:
        lab.states.set(AGENT, TIER, key, {"merged": next(numbers)})
        filled.store.branches.merge(name, strategy="theirs")

    return call


def _branch_diff(filled: Filled, key: str) -> Call:
    name = f"compared {key}"
    filled.store.branches.create(name)
    filled.store.branch(name).states.set(AGENT, TIER, key, 1)
    return lambda: filled.store.branches.diff(name)


ASKED: dict[str, tuple[Callable[[Filled, str], Call], float]] = {
    "get": (_get, 1.0),
    "set": (_set, 2.0),
    "set with expected_version": (_expected, 2.0),
    "update": (_update, 2.0),
    "versions(limit)": (_versions, 1.0),
    "history.get(version)": (_version, 2.0),
    "diff": (_diff, 2.0),
    "at(R).get": (_at, 2.0),
    "changes between revisions": (_changes, 2.0),
    "feed.changes(limit)": (_feed, 2.0),
    "commits(limit)": (_commits, 1.0),
    "commits(limit) of an agent": (_commits_of_agent, 2.0),
    "restore of a key": (_restore, 2.0),
    "checkpoints.create": (_checkpoint, 1.0),
    "branches.diff of a key": (_branch_diff, 2.0),
    "branches.merge of a key": (_merge, 2.0),
}
"""What is asked, and how many times the steps it may take where there is so much more: twice, where a
version may be reached by way of others, of which there are as many as the logarithm says."""
SLACK = 1.1
_LEAST = 20 * _CALLS
"""Steps that nobody minds, so that what a cache answers with none at all may take some."""


def grown(stores: tuple[Filled, Filled], asked: str, key: str) -> tuple[int, float]:
    """Return the steps an operation takes where there is much, and how many it may take."""
    make, times = ASKED[asked]
    few, many = (filled.steps.of(make(filled, key)) for filled in stores)
    return many, max(few, _LEAST) * times * SLACK


@pytest.mark.parametrize("key", [BUSY, QUIET])
@pytest.mark.parametrize("asked", ASKED)
def test_the_cost_does_not_grow_with_what_there_is(stores: tuple[Filled, Filled], asked: str, key: str) -> None:
    many, most = grown(stores, asked, key)
    assert many <= most


@pytest.mark.parametrize("asked", ["at(R).get"])
def test_the_counts_show_that_the_index_of_the_history_is_gone(stores: tuple[Filled, Filled], asked: str) -> None:
    """Without it a key's history is looked for among everybody's: the guard above would fail."""
    with closing(sqlite3.connect(stores[1].path, isolation_level=None)) as raw:
        [[told]] = raw.execute("select sql from sqlite_master where name = 'ix_state_versions_history'").fetchall()
        raw.execute("drop index ix_state_versions_history")
        try:
            many, most = grown(stores, asked, LEFT)
        finally:
            raw.execute(told)
    assert many > 10 * most


def test_a_merge_asks_as_often_however_often_two_branches_have_merged_before(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db", durability="normal") as store:
        store.branches.create("lab")
        lab, asked = store.branch("lab"), list[str]()
        engine: Any = store._engine
        engine._pool.writer.raw.set_trace_callback(asked.append)
        counts = []
        for number in range(30):
            lab.states.set(AGENT, TIER, "there", number)
            store.states.set(AGENT, TIER, "here", number)
            asked.clear()
            store.branches.merge("main", into="lab")
            store.branches.merge("lab")
            counts.append(len(asked))
        assert counts[-1] == counts[2], counts
