"""What every peer answers to, so that one race fits all."""

from __future__ import annotations

import importlib
import importlib.metadata
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from benchmarks.rounds import Stopwatch

Durability = Literal["full", "normal"]
Write = tuple[str, Any]


class Named:
    """What a peer is called and what is said of it.

    `package` is what the extra `bench` installs, `keeps` what a set leaves of the value before, `same` how its
    durability was made ours.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    keeps: ClassVar[str]
    same: ClassVar[str]


class Peer(Named):
    """A store in a folder of its own, at a durability: keys with values that are JSON objects.

    A set is what its own documentation does to store a value, one commit each.
    """

    def __init__(self, folder: Path, durability: Durability) -> None:
        raise NotImplementedError

    def set(self, key: str, value: Any) -> object:
        raise NotImplementedError

    def get(self, key: str) -> Any:
        """Return the newest value."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def write(self, writes: Sequence[Write]) -> float:
        """Set one after another, and return microseconds for each."""
        with Stopwatch() as watch:
            for key, value in writes:
                self.set(key, value)
        return watch.per(len(writes))

    def read(self, keys: Sequence[str]) -> float:
        """Get one after another, and return microseconds for each."""
        with Stopwatch() as watch:
            for key in keys:
                self.get(key)
        return watch.per(len(keys))


class AsyncPeer(Named):
    """The same, awaited; made by `open` on a running loop."""

    async def open(self, folder: Path, durability: Durability) -> None:
        raise NotImplementedError

    async def set(self, key: str, value: Any) -> object:
        raise NotImplementedError

    async def get(self, key: str) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def imported(module: str) -> Any:
    """Return a peer's module. By name and as Any: types are checked where no peer is installed."""
    return importlib.import_module(module)


def version(package: str) -> str | None:
    """Return which version of a package is installed, if any is."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(peer: type[Named]) -> str | None:
    """Return why a peer cannot be measured, where it cannot: it is not installed, or does not work on this machine."""
    found = version(peer.package)
    if found is None:
        return f"{peer.package} is not installed"
    if not issubclass(peer, Peer):
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            store = peer(Path(folder), "normal")
            store.set("key", {"works": True})
            works = store.get("key") == {"works": True}
            store.close()
        except Exception as error:
            return f"{peer.name} {found} does not work here ({type(error).__name__}: {error})"
    return None if works else f"{peer.name} {found} does not give back what it was given"


def pragma(durability: Durability) -> str:
    """Return the statement that gives a SQLite connection in WAL mode a store's durability."""
    return f"pragma synchronous = {durability}"
