"""Bytes on disk: a state that grows, and real histories, each in a file of its own, closed, beside peers and git."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pydantic_core import from_json, to_json

from benchmarks.peers import git
from benchmarks.peers.agenthold import AgentHold
from benchmarks.peers.continuum import Continuum
from benchmarks.peers.doltlite import DoltLite
from benchmarks.peers.eventsourcing import EventSourcing
from benchmarks.peers.langgraph_saver import Saver
from benchmarks.peers.peer import Peer, missing
from benchmarks.rounds import Sizes
from statedb import Store
from statedb.values.codec import zstd

FOLDER = Path(os.environ.get("STATEDB_HISTORIES", Path(__file__).parents[2] / "shared" / "data" / "histories"))
"""Where the real histories are, if anywhere: as the tests find them."""
WHERE = "repo", "persistent", "state"
KEEPING: tuple[type[Peer], ...] = (Saver, AgentHold, EventSourcing, Continuum, DoltLite)
"""Peers that keep every version; the others have one value to store."""
_PROMISED_OF_GIT = {"express-package": 0.5, "mdn-element": 1.3, "schemastore-catalog": 1.3}
Versions = Callable[[], Iterator[tuple[float, Any]]]
"""Gives every version anew, each with its time in seconds, oldest first."""


@dataclass(slots=True)
class Room:
    """What a history takes of a disk in one store. `most` is what was promised: megabytes of ours, or of a peer's."""

    history: str
    store: str
    size: int | None
    ours: int
    most: float | None = None
    missing: str = ""

    @property
    def ratio(self) -> float | None:
        """How much of theirs ours takes."""
        return None if not self.size else self.ours / self.size

    @property
    def verdict(self) -> str:
        """Whether ours is as small as promised."""
        if self.most is None or self.size is None:
            return ""
        measured = self.ours / 1e6 if self.store == "statedb" else self.ours / self.size
        return "ok" if measured <= self.most else "short"


def rows(folder: Path, sizes: Sizes) -> list[Room]:
    """Fill the stores and return what they take."""
    steps = sizes.steps
    grown = f"{steps:,} versions of a 50 KB state that grows 50 bytes a step"
    found = _beside(grown, lambda: growing(steps), KEEPING, folder / "growing", {"statedb": 0.6, "git gc": None})
    for path in sorted(FOLDER.glob("*.jsonl.zst")) if sizes.real else []:
        name = path.name.removesuffix(".jsonl.zst")
        promised = {"statedb": None, "git gc": _PROMISED_OF_GIT.get(name)}
        found += _beside(name, lambda path=path: _lines(path), (Saver,), folder / name, promised)  # type: ignore[misc]
    return found


def skipped(sizes: Sizes) -> str | None:
    """Return why the real histories are not measured, where they are not."""
    if not sizes.real:
        return "The real histories are left out of a quick run."
    if not any(FOLDER.glob("*.jsonl.zst")):
        return "The real histories are not here: STATEDB_HISTORIES names their folder."
    return None


def growing(steps: int) -> Iterator[tuple[float, Any]]:
    """Yield a conversation of 50 KB and then each state of it, 50 bytes of JSON longer than the one before."""
    chance = Random(1)
    messages = [_message(chance) for _ in range(1_000)]
    for step in range(steps):
        if step:
            messages.append(_message(chance))
        yield 1_700_000_000.0 + step, {"messages": list(messages)}


def _message(chance: Random) -> str:
    """Return 47 letters in words of letters at random, which no compressor has seen: with quotes and comma, 50."""
    words = ("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(16))
    return " ".join(words)[:47].ljust(47, ".")


def _beside(
    history: str, versions: Versions, peers: Iterable[type[Peer]], folder: Path, promised: dict[str, float | None]
) -> list[Room]:
    folder.mkdir()
    ours = _ours(versions, folder / "statedb")
    found = [Room(history, "statedb", ours, ours, promised["statedb"])]
    for how in ((), ("--aggressive",)):
        told = " ".join(("git gc", *how))
        size = _git(versions, folder / told, how) if git.version() else None
        found.append(Room(history, told, size, ours, promised.get(told), "" if size else "there is no git"))
    for peer in peers:
        why = missing(peer)
        size = None if why else _peer(peer, versions, folder / peer.__name__)
        found.append(Room(history, peer.name, size, ours, missing=why or ""))
    return found


def _ours(versions: Versions, folder: Path) -> int:
    folder.mkdir()
    with Store(folder / "statedb.db", durability="normal") as store:
        store.transfer.load_versions(*WHERE, versions())
    return _size(folder)


def _git(versions: Versions, folder: Path, how: tuple[str, ...]) -> int:
    git.fill(folder, (to_json(value) for _, value in versions()))
    return git.size(folder, *how)


def _peer(peer: type[Peer], versions: Versions, folder: Path) -> int:
    folder.mkdir()
    store = peer(folder, "normal")
    for _, value in versions():
        store.set(WHERE[2], value)
    store.close()
    return _size(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _lines(path: Path) -> Iterator[tuple[float, Any]]:
    with zstd.open(path, "rb") as unpacked:
        for line in unpacked:
            said = from_json(line)
            yield said["at"], said["value"]
