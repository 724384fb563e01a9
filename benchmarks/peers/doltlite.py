"""doltlite: Dolt's version control behind SQLite's interface; an upsert and a `dolt_commit` for each set.

It takes the place of SQLite in the process it is loaded into. So it gets a process of its own, which times itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Durability, Peer, Write


class DoltLite(Peer):
    name = "doltlite"
    package = "doltlite"
    keeps = "every version, in a tree of chunks that versions share"
    same = "`pragma synchronous` on its connection"

    def __init__(self, folder: Path, durability: Durability) -> None:
        command = [sys.executable, "-m", "benchmarks.peers.doltlite_process", str(folder / "doltlite.db"), durability]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )

    def set(self, key: str, value: Any) -> None:
        self.write([(key, value)])

    def get(self, key: str) -> Any:
        return self._ask("value", key)

    def write(self, writes: Sequence[Write]) -> float:
        return float(self._ask("write", list(writes)))

    def read(self, keys: Sequence[str]) -> float:
        return float(self._ask("read", list(keys)))

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def _ask(self, what: str, of: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([what, of]), file=self._process.stdin, flush=True)
        if not (answer := self._process.stdout.readline()):
            raise RuntimeError("its process ended")
        return json.loads(answer)
