"""A rig that asks whether a key is linearizable: processes read, write and compare and set it, and are killed.

Each notes in a file what it asks and when, by the clock that all processes of a machine share, and what came back and
when. What a killed process had asked for may take effect later, or never. The checker finds an order that explains it
all, or there is none.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from statedb import MISSING, AsyncStore, StateDBError, Store, VersionConflict
from tests.linearizability.cell import CELL, Value
from tests.linearizability.checker import Verdict, check
from tests.linearizability.history import Call, Operation
from tests.rigs.processes import Board, Log, Processes, until
from tests.rigs.replay import replayable

PROCESSES = 6
TASKS = 2
"""How many things an asynchronous process does at a time."""
KEYS = ("x", "y", "z")
AGENT, TIER = "agent", "persistent"
EVERY = (0.05, 0.3)
"""Seconds from one kill to the next."""

LARGE = 9_000
"""Bytes of every third value: those that caches keep are of 8 KiB and more."""


# ---- what is asked


@dataclass
class Asker:
    """Draws what to ask next. Of the versions that it compares to, it knows what it was told itself."""

    name: str
    chance: random.Random
    count: int = 0
    known: dict[str, int] = field(default_factory=dict)

    def draw(self) -> tuple[str, Call]:
        """Return a key, and what to ask of it."""
        self.count += 1
        token = f"{self.name}:{self.count}"
        key = self.chance.choice(KEYS)
        version = self.known.get(key, 0) if self.chance.random() < 0.9 else self.chance.randrange(20)
        word = self.chance.choices(list(_CALLS), [share for share, _ in _CALLS.values()])[0]
        return key, _CALLS[word][1](word, version, token)

    def told(self, key: str, call: Call, result: Any) -> None:
        """Learn from a result at which version a key stands."""
        match call[0], result:
            case "entry", None:
                self.known[key] = 0
            case (("entry" | "update"), (version, _)):
                self.known[key] = version
            case "set" | "cas", int(version):
                self.known[key] = version
            case _, ("conflict", version, _):
                self.known[key] = version
            case (("delete" | "cas delete"), _):
                self.known[key] = 0


_CALLS: dict[str, tuple[float, Callable[[str, int, str], Call]]] = {
    "get": (3, lambda word, _version, _token: (word,)),
    "entry": (2, lambda word, _version, _token: (word,)),
    "set": (2, lambda word, _version, token: (word, token)),
    "cas": (4, lambda word, version, token: (word, version, token)),
    "update": (1, lambda word, _version, token: (word, token)),
    "delete": (0.5, lambda word, _version, _token: (word,)),
    "cas delete": (0.5, lambda word, version, _token: (word, version)),
}


def _ask(states: Any, key: str, call: Call) -> Any:
    """Ask for something, or begin to of an asynchronous store."""
    at = (AGENT, TIER, key)
    match call:
        case ("get" | "entry" | "delete" as word,):
            return getattr(states, word)(*at)
        case ("set", token):
            return states.set(*at, _written(token, None))
        case ("cas", version, token):
            return states.set(*at, _written(token, None), expected_version=version)
        case ("cas delete", version):
            return states.delete(*at, expected_version=version)
        case ("update", token):
            return states.update(*at, lambda was: _written(token, was and was["token"]))
    raise AssertionError(call)


def _result(call: Call, answer: Any) -> Any:
    """Return what came back in the words of the model."""
    match call[0]:
        case "get":
            return _seen(answer)
        case "entry":
            return None if answer is None else (answer.version, _seen(answer.value))
        case "update":
            return answer.version, _seen(answer.value)
        case "set" | "cas":
            assert _seen(answer.value) == Value(call[-1]), "what was written is not what came back"
            return answer.version
    return answer


def _conflict(error: VersionConflict) -> Any:
    return "conflict", error.version, _seen(None if error.theirs is MISSING else error.theirs)


def _written(token: str, over: str | None) -> dict[str, Any]:
    return {"token": token, "over": over, "pad": "-" * _size(token)}


def _seen(value: Any) -> Value | None:
    if value is None:
        return None
    assert len(value["pad"]) == _size(value["token"]), "half a value"
    return Value(value["token"], value["over"])


def _size(token: str) -> int:
    return LARGE if token.endswith(("0", "3", "6")) else 0


# ---- who asks


class Notes:
    """What a process notes of its operations: that it asks, then what came back."""

    def __init__(self, log: Log) -> None:
        self._log, self._count = log, 0

    def ask(self, key: str, call: Call) -> int:
        self._count += 1
        self._log.say("ask", json.dumps([self._count, time.monotonic_ns(), key, call]))
        return self._count

    def back(self, number: int, at: int, result: Any) -> None:
        self._log.say("back", json.dumps([number, at, result]))

    def failed(self, number: int, error: Exception) -> None:
        """Note an error that tells nothing of whether it was done."""
        self._log.say("failed", json.dumps([number, repr(error)]))


@dataclass
class Asking:
    """Something that is asked, and the answer once there is one."""

    key: str
    call: Call
    answer: Any = None


@contextmanager
def noted(notes: Notes, asker: Asker) -> Iterator[Asking]:
    """Give what to ask next, and note that it is asked and what comes back."""
    asking = Asking(*asker.draw())
    number = notes.ask(asking.key, asking.call)
    try:
        yield asking
        at, result = time.monotonic_ns(), _result(asking.call, asking.answer)
    except VersionConflict as error:
        at, result = time.monotonic_ns(), _conflict(error)
    except (StateDBError, OSError) as error:
        notes.failed(number, error)
        return
    notes.back(number, at, result)
    asker.told(asking.key, asking.call, result)


def work(where: str, folder: Path, name: str, seed: int, options: dict[str, Any]) -> None:
    """Ask until told to stop, one thing after another. For `Process`."""
    board = Board(folder)
    with Store(where, **options) as store:
        asker, notes = Asker(name, random.Random(f"{seed} {name}")), Notes(board.log(name))
        while board.told("stop") is None:
            with noted(notes, asker) as asking:
                asking.answer = _ask(store.states, asking.key, asking.call)


def work_tasks(where: str, folder: Path, name: str, seed: int, options: dict[str, Any]) -> None:
    """Ask until told to stop, several things at a time. For `Process`."""
    board = Board(folder)

    async def ask(store: AsyncStore, notes: Notes, asker: Asker) -> None:
        while board.told("stop") is None:
            with noted(notes, asker) as asking:
                asking.answer = await _ask(store.states, asking.key, asking.call)

    async def main() -> None:
        async with AsyncStore(where, **options) as store:
            notes = Notes(board.log(name))
            askers = [Asker(f"{name}.{task}", random.Random(f"{seed} {name} {task}")) for task in range(TASKS)]
            await asyncio.gather(*(ask(store, notes, asker) for asker in askers))

    asyncio.run(main())


# ---- what came of it


@dataclass
class Linear:
    """What a run came upon, in figures."""

    seconds: float
    history: list[Operation]
    verdicts: dict[str, Verdict]
    killed: int
    failed: int
    checked: float

    def __str__(self) -> str:
        known = [each for each in self.history if each.known]
        refused = sum(isinstance(each.result, tuple) and each.result[0] == "conflict" for each in known)
        return (
            f"{len(known):,} operations on {len(self.verdicts)} keys in {self.seconds:.0f} s "
            f"({len(known) / self.seconds:,.0f}/s), {refused:,} of them conflicts, up to {_overlap(known)} at a time, "
            f"{len(self.history) - len(known)} of which nobody knows what came, {self.failed} of them for an error; "
            f"{self.killed} processes killed; an order found for each key in {self.checked:.1f} s and "
            f"{sum(verdict.looked for verdict in self.verdicts.values()):,} configurations"
        )


def _overlap(known: list[Operation]) -> int:
    """Return how many operations were under way at a time, at most."""
    ends = sorted([*((each.invoked, 1) for each in known), *((each.returned or 0, -1) for each in known)])
    return max(accumulate(step for _, step in ends), default=0)


def line_up(where: str, folder: Path, seconds: float, seed: int | None = None) -> Linear:
    """Have processes ask for so many seconds; AssertionError where no order explains what came back."""
    with replayable("linear", seconds, seed, folder) as seed:
        begun = time.monotonic()
        killed = _run(where, folder, seconds, seed)
        taken = time.monotonic() - begun
        history = [*recorded(Board(folder)), *_end(where)]
        begun = time.monotonic()
        verdicts = check(history, CELL)
        wrong = [f"{key}: {verdict}" for key, verdict in verdicts.items() if not verdict.linearizable]
        assert not wrong, "; ".join(wrong)
        failed = sum(line.startswith("failed") for name in Board(folder).names() for line in Board(folder).lines(name))
        return Linear(taken, history, verdicts, killed, failed, time.monotonic() - begun)


def _run(where: str, folder: Path, seconds: float, seed: int) -> int:
    """Have processes ask, kill one at random now and then, and put another in its place; return how many."""
    chance, board, processes, count = random.Random(seed), Board(folder), Processes(), 0

    def begin() -> None:
        nonlocal count
        count += 1
        durability = "normal" if count % 4 < 2 else "full"
        name = f"p{count}"
        processes.start(name, work if count % 2 else work_tasks, where, folder, name, seed, {"durability": durability})

    Store(where).close()
    try:
        for _ in range(PROCESSES):
            begin()
        until(lambda: len(board.names()) >= PROCESSES, "the processes are at work")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, chance.uniform(*EVERY)))
            processes.kill(chance.choice(processes.names()))
            begin()
        board.tell("stop")
        processes.join(*processes.names())
    finally:
        processes.kill_all()
    return count - PROCESSES


def recorded(board: Board) -> Iterator[Operation]:
    """Yield what the processes noted."""
    for name in board.names():
        asked: dict[int, Operation] = {}
        for line in board.lines(name):
            kind, _, said = line.partition(" ")
            number, *what = json.loads(said)
            if kind == "ask":
                at, key, call = what
                asked[number] = Operation(key, tuple(call), at, by=name)
            elif kind == "back":
                was = asked[number]
                asked[number] = Operation(was.key, was.call, was.invoked, what[0], _plain(was.call, what[1]), name)
        yield from asked.values()


def _end(where: str) -> Iterator[Operation]:
    """Yield what is there once all is over: of what was acknowledged, nothing may be missing."""
    with Store(where) as store:
        assert store.health.check().problems == ()
        for key in KEYS:
            at = time.monotonic_ns()
            result = _result(("entry",), store.states.entry(AGENT, TIER, key))
            yield Operation(key, ("entry",), at, time.monotonic_ns(), result, "the end")


def _plain(call: Call, result: Any) -> Any:
    """Return a result as the model has it: JSON knows no tuples."""
    match call[0], result:
        case "get", [token, over]:
            return Value(token, over)
        case _, ["conflict", version, value]:
            return "conflict", version, value and Value(*value)
        case (("entry" | "update"), [version, value]):
            return version, Value(*value)
    return result
