"""LangGraph's store in SQLite: the newest value of each key; the asynchronous one gathers what is put at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite

from benchmarks.peers.peer import AsyncPeer, Durability, Peer, imported, pragma

_PACKAGE = "langgraph-checkpoint-sqlite"
_KEEPS = "nothing"
_SAME = "`pragma synchronous` and `journal_mode = wal` on the connection it is given"
_NAMESPACE = ("agent-1", "persistent")


class Items(Peer):
    name = "langgraph SqliteStore"
    package, keeps, same = _PACKAGE, _KEEPS, _SAME

    def __init__(self, folder: Path, durability: Durability) -> None:
        self._raw = sqlite3.connect(folder / "items.db", check_same_thread=False, isolation_level=None)
        self._raw.execute("pragma journal_mode = wal")
        self._raw.execute(pragma(durability))
        self._store = imported("langgraph.store.sqlite").SqliteStore(self._raw)
        self._store.setup()

    def set(self, key: str, value: Any) -> None:
        self._store.put(_NAMESPACE, key, value)

    def get(self, key: str) -> Any:
        return self._store.get(_NAMESPACE, key).value

    def close(self) -> None:
        self._raw.close()


class AsyncItems(AsyncPeer):
    name = "langgraph AsyncSqliteStore"
    package, keeps, same = _PACKAGE, _KEEPS, _SAME

    async def open(self, folder: Path, durability: Durability) -> None:
        self._raw = await aiosqlite.connect(folder / "async-items.db", isolation_level=None)
        await self._raw.execute("pragma journal_mode = wal")
        await self._raw.execute(pragma(durability))
        self._store = imported("langgraph.store.sqlite.aio").AsyncSqliteStore(self._raw)
        await self._store.setup()

    async def set(self, key: str, value: Any) -> None:
        await self._store.aput(_NAMESPACE, key, value)

    async def get(self, key: str) -> Any:
        return (await self._store.aget(_NAMESPACE, key)).value

    async def close(self) -> None:
        self._store._task.cancel()  # it has no close of its own, and its task would outlive the connection
        await self._raw.close()
