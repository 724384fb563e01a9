"""agenthold: shared state for agents, its Python library without the server in front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Durability, Peer, imported, pragma


class AgentHold(Peer):
    name = "agenthold"
    package = "agenthold"
    keeps = "every version, each with the whole value"
    same = "`pragma synchronous` on its connection; WAL is its own"

    def __init__(self, folder: Path, durability: Durability) -> None:
        self._store = imported("agenthold.store").StateStore(folder / "agenthold.db")
        self._store._conn.execute(pragma(durability))

    def set(self, key: str, value: Any) -> None:
        self._store.set("agent-1", key, value, "bench")

    def get(self, key: str) -> Any:
        return self._store.get("agent-1", key).value

    def close(self) -> None:
        self._store._conn.close()
