"""Transactions whose steps run in a given order, and a check that their outcome is one of some serial order.

A scenario is text, a line a step, in the order in which they are taken:

    1: get x          each transaction begins with its first step
    2: set x 12
    2: commit
    1: abort          one that ends in neither commits at the end

Where a database lets in one transaction at a time, the others' steps are taken once they are let in, and the anomaly
cannot come about. Nobody sleeps, and no outcome depends on how long a step takes.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from statedb import AsyncStore, Store, TransactionAborted
from tests.helpers import HANG

Values = dict[str, Any]
Ask = tuple[Any, ...]
Taking = Generator[Ask, Any, Any]
"""A step under way: it yields (call, *arguments) on the states of an agent, is sent the answer, returns what it saw."""


# ---- steps


def get(key: str) -> Taking:
    return (yield "get", key)


def see(pattern: str = "*") -> Taking:
    return dict((yield "items", pattern))


def keys(pattern: str = "*") -> Taking:
    return list((yield "keys", pattern))


def exists(key: str) -> Taking:
    return (yield "exists", key)


def find(divisor: str) -> Taking:
    """See what a predicate on values holds for: they are a multiple of a number."""
    found = yield "items", "*"
    return {key: value for key, value in found if value % int(divisor) == 0}


def put(key: str, value: str) -> Taking:
    yield "set", key, int(value)


def add(key: str, amount: str) -> Taking:
    """Change a value by way of a read of its own."""
    value = yield "get", key
    yield "set", key, (value or 0) + int(amount)
    return value


def update(key: str, amount: str) -> Taking:
    yield "update", key, lambda value: (value or 0) + int(amount)


def add_all(amount: str) -> Taking:
    found = yield "items", "*"
    for key, value in found:
        yield "set", key, value + int(amount)
    return dict(found)


def drop(key: str) -> Taking:
    return (yield "delete", key)


def drop_where(value: str) -> Taking:
    """Delete what a predicate on values holds for."""
    found = yield "items", "*"
    met = {key: held for key, held in found if held == int(value)}
    for key in met:
        yield "delete", key
    return met


STEPS: Mapping[str, Callable[..., Taking]] = {
    "get": get, "see": see, "keys": keys, "exists": exists, "find": find, "set": put, "add": add, "update": update,
    "add_all": add_all, "delete": drop, "delete_where": drop_where,
}  # fmt: skip


class Table:
    """The states of one agent as a plain dict: what the steps of a serial order see and leave."""

    def __init__(self, values: Values) -> None:
        self.values = dict(values)

    def call(self, name: str, key: str, *args: Any) -> Any:
        if name == "get":
            return self.values.get(key)
        if name == "exists":
            return key in self.values
        if name == "set":
            self.values[key] = args[0]
        if name == "update":
            self.values[key] = args[0](self.values.get(key))
        if name == "delete":
            return self.values.pop(key, None) is not None
        found = sorted(each for each in self.values if fnmatchcase(each, key))
        return found if name == "keys" else [(each, self.values[each]) for each in found]


# ---- a scenario


class Abandoned(Exception):
    """What a scenario's own `abort` raises."""


@dataclass
class Turn:
    """A step: it is taken once its gate is open, and tells when it is done."""

    words: list[str]
    gate: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def step(self) -> Taking:
        return STEPS[self.words[0]](*self.words[1:])


@dataclass
class Session:
    """A transaction: its turns, the last of which ends it, what it has seen, and what became of it."""

    name: str
    turns: list[Turn] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    end: str = ""
    """committed; aborted, by the store; abandoned, by itself; or broken, by an error nobody expects."""
    revision: int | None = None
    error: BaseException | None = None
    before: list[Session] = field(default_factory=list)
    """Those that had ended when this one began: it sees what they committed."""

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Note how the transaction ends."""
        try:
            yield
            self.end = "committed"
        except Abandoned:
            self.end = "abandoned"
        except TransactionAborted:
            self.end = "aborted"
        except BaseException as error:
            self.end, self.error = "broken", error
        finally:
            for turn in self.turns:
                turn.done.set()


Order = list[tuple[Session, Turn]]


def parse(text: str) -> Order:
    """Return a scenario's turns in order, each with its session."""
    sessions: dict[str, Session] = {}
    order: Order = []

    def take(name: str, words: list[str]) -> None:
        session = sessions.setdefault(name, Session(name))
        session.turns.append(Turn(words))
        order.append((session, session.turns[-1]))

    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, words = line.partition(":")
        take(name, words.split())
    for session in sessions.values():
        if session.turns[-1].words[0] not in ("commit", "abort"):
            take(session.name, ["commit"])
    return order


def sessions_of(order: Order) -> list[Session]:
    return list({session.name: session for session, _ in order}.values())


def conduct(order: Order, *, one_at_a_time: bool) -> None:
    """Open the gates in order, waiting for each step.

    A database that lets in one transaction at a time keeps the others at the door: their steps are not waited for, and
    none may have been taken by the time the one inside comes to its end.
    """
    inside: Session | None = None
    behind: list[Session] = []
    for session, turn in order:
        inside = inside or session
        ends = turn is session.turns[-1]
        if turn is session.turns[0] and not turn.gate.is_set():
            session.before = [each for each in sessions_of(order) if each.end]
        if session is inside or not one_at_a_time:
            if one_at_a_time and ends:
                assert not any(each.turns[0].done.is_set() for each in behind), "two were inside at a time"
            turn.gate.set()
            _finish(session, turn)
        else:
            behind.append(session)
            turn.gate.set()
        if ends and session is inside and not behind:
            inside = None
    for session, turn in order:
        _finish(session, turn)


def _finish(session: Session, turn: Turn) -> None:
    assert turn.done.wait(HANG), f"{session.name}: {' '.join(turn.words)} hangs"
    if session.error is not None:
        raise session.error


# ---- driving the steps


def drive(step: Taking, call: Callable[..., Any]) -> Any:
    """Take a step on something that is called."""
    answer = None
    while True:
        try:
            asked = step.send(answer)
        except StopIteration as seen:
            return seen.value
        answer = call(*asked)


async def drive_async(step: Taking, call: Callable[..., Any]) -> Any:
    """Take a step on something that is awaited."""
    answer = None
    while True:
        try:
            asked = step.send(answer)
        except StopIteration as seen:
            return seen.value
        answer = await call(*asked)


def _states(tx: Any, agent: str) -> Callable[..., Any]:
    states = tx.agent(agent).shared
    return lambda name, *args: getattr(states, name)(*args)


def _body(session: Session, agent: str, tx: Any) -> Any:
    """Take a session's steps in a transaction, each when its gate opens. It may be called again."""
    session.seen.clear()
    for turn in session.turns[:-1]:
        assert turn.gate.wait(HANG)
        session.seen.append(drive(turn.step(), _states(tx, agent)))
        turn.done.set()
    assert session.turns[-1].gate.wait(HANG)
    if session.turns[-1].words == ["abort"]:
        raise Abandoned
    return tx


async def _body_async(session: Session, agent: str, tx: Any) -> None:
    session.seen.clear()
    for turn in session.turns[:-1]:
        assert await asyncio.to_thread(turn.gate.wait, HANG)
        session.seen.append(await drive_async(turn.step(), _states(tx, agent)))
        turn.done.set()
    assert await asyncio.to_thread(session.turns[-1].gate.wait, HANG)
    if session.turns[-1].words == ["abort"]:
        raise Abandoned


# ---- the ways to hold a transaction


def _in_block(store: Store, session: Session, agent: str) -> None:
    with session.ending():
        assert session.turns[0].gate.wait(HANG)
        with store.transaction() as tx:
            _body(session, agent, tx)
        session.revision = tx.revision


def _in_run(store: Store, session: Session, agent: str) -> None:
    with session.ending():
        assert session.turns[0].gate.wait(HANG)
        session.revision = store.run(lambda tx: _body(session, agent, tx)).revision


async def _in_async_block(store: AsyncStore, session: Session, agent: str) -> None:
    with session.ending():
        assert await asyncio.to_thread(session.turns[0].gate.wait, HANG)
        async with store.transaction() as tx:
            await _body_async(session, agent, tx)
        session.revision = tx.revision


async def _in_async_run(store: AsyncStore, session: Session, agent: str) -> None:
    with session.ending():
        session.revision = (await store.run(lambda tx: _body(session, agent, tx))).revision


def play_threads(stores: list[Store], how: str, order: Order, agent: str, *, one_at_a_time: bool) -> None:
    """Play a scenario with a thread for each session; the sessions take turns in the stores."""
    way = {"block": _in_block, "run": _in_run}[how]
    sessions = sessions_of(order)
    with ThreadPoolExecutor(len(sessions)) as pool:
        for number, session in enumerate(sessions):
            pool.submit(way, stores[number % len(stores)], session, agent)
        conduct(order, one_at_a_time=one_at_a_time)


def play_tasks(where: str, how: str, order: Order, agent: str, *, one_at_a_time: bool, **options: Any) -> None:
    """Play a scenario with a task for each session, on one asynchronous store.

    The functions of `run` have no way to wait for a gate, so those are all open, and the tasks run as they may.
    """

    async def main() -> None:
        async with AsyncStore(where, **options) as store:
            way = {"block": _in_async_block, "run": _in_async_run}[how]
            await asyncio.gather(*(way(store, session, agent) for session in sessions_of(order)))

    with ThreadPoolExecutor(1) as pool:
        if how == "run":
            for _, turn in order:
                turn.gate.set()
        playing = pool.submit(asyncio.run, main())
        conduct(order, one_at_a_time=one_at_a_time and how == "block")
        playing.result(HANG)


# ---- what may come of it


def assert_serial(store: Store, order: Order, agent: str, initial: Values) -> None:
    """Assert that transactions have seen and left what they would have, one after another.

    Of those that wrote, the order is that of their revisions. One that wrote nothing, or was aborted, has seen the
    store as it stood between two of those: it never saw what nobody committed, nor two moments at once.
    """
    sessions = sessions_of(order)
    wrote = sorted((each for each in sessions if each.revision is not None), key=lambda each: each.revision or 0)
    moments = [initial]
    for session in wrote:
        table = Table(moments[-1])
        assert _replayed(session, table) == session.seen, f"{session.name} saw what was not so at its commit"
        moments.append(table.values)
        assert session.revision is not None
        assert dict(store.at(session.revision).agent(agent).shared.items()) == table.values
    for session in sessions:
        if session.revision is None:
            earliest = max([0, *(wrote.index(each) + 1 for each in session.before if each in wrote)])
            possible = [_replayed(session, Table(moment))[: len(session.seen)] for moment in moments[earliest:]]
            assert session.seen in possible, f"{session.name} ({session.end}) saw what never was"
        for each in session.before:
            assert (each.revision or 0) < (session.revision or math.inf), "a later transaction got an earlier revision"
    assert dict(store.agent(agent).shared.items()) == moments[-1]


def _replayed(session: Session, table: Table) -> list[Any]:
    return [drive(turn.step(), table.call) for turn in session.turns[:-1]]
