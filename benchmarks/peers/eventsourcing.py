"""eventsourcing: its SQLite recorder for applications, an event with the whole state for each set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from benchmarks.peers.peer import Durability, Peer, imported, pragma


class EventSourcing(Peer):
    name = "eventsourcing"
    package = "eventsourcing"
    keeps = "every event, each with the whole state; the caller counts the versions"
    same = "`pragma synchronous` on its one connection; WAL is its own"

    def __init__(self, folder: Path, durability: Durability) -> None:
        made = imported("eventsourcing.sqlite")
        self._event = imported("eventsourcing.persistence").StoredEvent
        self._store = made.SQLiteDatastore(
            str(folder / "events.db"), pool_size=1, max_overflow=0, originator_id_type="text"
        )
        with self._store.transaction(commit=False) as cursor:
            cursor.execute("rollback")  # a pragma is without effect inside a transaction
            cursor.execute(pragma(durability))
            cursor.execute("begin")
        self._recorder = made.SQLiteApplicationRecorder(self._store)
        self._recorder.create_table()
        self._versions: dict[str, int] = {}

    def set(self, key: str, value: Any) -> None:
        version = self._versions[key] = self._versions.get(key, 0) + 1
        self._recorder.insert_events([self._event(key, version, "state", to_json(value))])

    def get(self, key: str) -> Any:
        [newest] = self._recorder.select_events(key, desc=True, limit=1)
        return from_json(newest.state)

    def close(self) -> None:
        self._store.close()
