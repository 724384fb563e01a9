"""diskcache: a cache in SQLite, the newest value of each key, pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Durability, Peer, imported

_SYNCHRONOUS = {"normal": 1, "full": 2}


class DiskCache(Peer):
    name = "diskcache"
    package = "diskcache"
    keeps = "nothing"
    same = "its setting `sqlite_synchronous`; WAL is its own"

    def __init__(self, folder: Path, durability: Durability) -> None:
        self._cache = imported("diskcache").Cache(
            str(folder / "diskcache"), sqlite_synchronous=_SYNCHRONOUS[durability], size_limit=2**40
        )

    def set(self, key: str, value: Any) -> None:
        self._cache.set(key, value)

    def get(self, key: str) -> Any:
        return self._cache.get(key)

    def close(self) -> None:
        self._cache.close()
