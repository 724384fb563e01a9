"""LangGraph's checkpoints in SQLite: a thread for each key, a checkpoint that holds the whole value for each set."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite

from benchmarks.peers.peer import AsyncPeer, Durability, Peer, imported, pragma

_PACKAGE = "langgraph-checkpoint-sqlite"
_KEEPS = "every checkpoint, each with the whole state"
_SAME = "`pragma synchronous` on the connection it is given; WAL is its own"
_METADATA = {"source": "loop", "step": 1, "parents": {}}


def config(key: str, checkpoint: str | None = None) -> dict[str, dict[str, str]]:
    """Return what names a thread, or one checkpoint of it."""
    named = {"thread_id": key, "checkpoint_ns": ""}
    return {"configurable": named if checkpoint is None else {**named, "checkpoint_id": checkpoint}}


class Checkpoints:
    """Makes checkpoints as a graph of one channel does."""

    def __init__(self) -> None:
        self._empty = imported("langgraph.checkpoint.base").empty_checkpoint
        self._turn = 0

    def of(self, value: Any) -> Any:
        """Return a new checkpoint that holds a value."""
        self._turn += 1
        made = self._empty()
        made["channel_values"] = {"state": value}
        made["channel_versions"] = {"state": self._turn}
        return made


class Saver(Peer):
    name = "langgraph SqliteSaver"
    package, keeps, same = _PACKAGE, _KEEPS, _SAME

    def __init__(self, folder: Path, durability: Durability) -> None:
        self._raw = sqlite3.connect(folder / "saver.db", check_same_thread=False)
        self._raw.execute(pragma(durability))
        self._saver = imported("langgraph.checkpoint.sqlite").SqliteSaver(self._raw)
        self._checkpoints = Checkpoints()

    def set(self, key: str, value: Any) -> str:
        """Save a checkpoint and return its id."""
        saved = self._saver.put(config(key), self._checkpoints.of(value), _METADATA, {})
        return str(saved["configurable"]["checkpoint_id"])

    def get(self, key: str) -> Any:
        return self.at(key, None)

    def at(self, key: str, checkpoint: str | None) -> Any:
        """Return the value of a checkpoint, or of the newest."""
        return self._saver.get_tuple(config(key, checkpoint)).checkpoint["channel_values"]["state"]

    def close(self) -> None:
        self._raw.close()


class AsyncSaver(AsyncPeer):
    name = "langgraph AsyncSqliteSaver"
    package, keeps, same = _PACKAGE, _KEEPS, _SAME

    async def open(self, folder: Path, durability: Durability) -> None:
        self._raw = await aiosqlite.connect(folder / "async-saver.db")
        await self._raw.execute(pragma(durability))
        self._saver = imported("langgraph.checkpoint.sqlite.aio").AsyncSqliteSaver(self._raw)
        self._checkpoints = Checkpoints()

    async def set(self, key: str, value: Any) -> None:
        await self._saver.aput(config(key), self._checkpoints.of(value), _METADATA, {})

    async def get(self, key: str) -> Any:
        return (await self._saver.aget_tuple(config(key))).checkpoint["channel_values"]["state"]

    async def close(self) -> None:
        await self._raw.close()
