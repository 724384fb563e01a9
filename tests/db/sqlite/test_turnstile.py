"""The turnstile: one at a time is next, nobody is held up for good, and nothing is left behind."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from statedb import Store, StoreBusy
from statedb.db.sqlite import turnstile
from statedb.db.sqlite.turnstile import Turnstile
from tests.helpers import HANG

K = ("a", "shared", "k")

STAND = """
import sys
from statedb.db.sqlite.turnstile import Turnstile
ours = Turnstile(sys.argv[1])
assert ours._enter()
print("next", flush=True)
sys.stdin.read()
"""

FORK = """
import os, signal, sys
from statedb.db.sqlite.turnstile import Turnstile
ours, theirs = Turnstile(sys.argv[1]), Turnstile(sys.argv[1])
assert ours._enter() and not theirs._enter()
ready, told = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(told, b".")
    signal.pause()
os.read(ready, 1)
ours.close()  # as where the parent is killed: nobody says that it has left
free = theirs._enter()
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
sys.exit(not free)
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where a store is, held open: its log is there."""
    with Store(tmp_path / "app.db") as store:
        store.states.set(*K, 0)
        yield tmp_path / "app.db"


def test_one_is_next_and_those_behind_do_not_ask_for_the_lock_before_their_time_is_over(path: Path) -> None:
    first, second = Turnstile(str(path)), Turnstile(str(path))
    asked: list[bool] = []

    def attempt() -> bool:
        asked.append(first.crowded())
        return False

    assert first._enter()
    assert second.crowded()
    assert not second.wait(attempt, timeout=0.02)
    assert asked == [False]
    first._leave()
    assert not second.crowded()
    assert second.wait(lambda: True, timeout=0)


def test_within_its_slice_a_process_does_not_stand_in_line_again(path: Path) -> None:
    first, second = Turnstile(str(path)), Turnstile(str(path))
    assert first.wait(lambda: True, timeout=0)
    first._until = float("inf")
    assert second._enter()
    assert first.wait(lambda: True, timeout=0)
    first._until = 0.0
    assert not first.wait(lambda: False, timeout=0)


def test_links_to_a_store_share_its_turnstile(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    assert Turnstile(str(link))._enter()
    held = Turnstile(str(link))
    assert held._enter()
    assert Turnstile(str(path)).crowded()


def test_a_process_that_is_killed_lets_go(path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", STAND, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "next\n"
        assert Turnstile(str(path)).crowded()
        child.kill()
        child.wait(HANG)
    assert not Turnstile(str(path)).crowded()


def test_a_forked_child_holds_nothing_of_its_parents(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, str(path)], timeout=HANG, check=False)
    assert done.returncode == 0


def test_one_who_stands_there_and_does_not_move_is_passed_by(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Turnstile(str(path))
    assert stopped._enter()
    monkeypatch.setattr(turnstile, "_PASSED_BY", 0.01)
    monkeypatch.setattr(turnstile, "SLICE", 0.0)
    with Store(path, busy_timeout=HANG) as store:
        assert store.states.set(*K, 1).value == 1
        # And from then on at once, until it has left.
        monkeypatch.setattr(turnstile, "_PASSED_BY", HANG)
        assert [store.states.set(*K, value).version for value in (2, 3)] == [3, 4]
        stopped._leave()
        store.states.set(*K, 4)
        assert stopped._enter()
        engine: Any = store._engine
        assert not engine._pool.writer._turnstile._passing


def test_no_timeout_is_so_short_that_who_has_stopped_there_is_not_passed_by(path: Path) -> None:
    stopped = Turnstile(str(path))
    assert stopped._enter()
    with Store(path, busy_timeout=0.02) as store:
        assert store.states.set(*K, 1).value == 1


def test_where_there_are_no_such_locks_the_lock_itself_is_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "fcntl", None)

    def count() -> None:
        with Store(path, durability="normal") as store:
            for _ in range(50):
                store.states.update(*K, lambda value: value + 1)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(count) for _ in range(3)]:
            done.result(HANG)
    with Store(path) as store:
        assert store.states.get(*K) == 150


def test_who_knows_nothing_of_it_is_waited_for_and_no_longer_than_the_timeout(path: Path) -> None:
    stranger = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with (
        Store(path, busy_timeout=0.05) as store,
        Store(path, busy_timeout=HANG) as patient,
        ThreadPoolExecutor(1) as pool,
    ):
        stranger.execute("begin immediate")
        with pytest.raises(StoreBusy, match=r"more than 0\.05 s"):
            store.states.set(*K, 1)
        waiting = pool.submit(patient.states.set, *K, 2)
        stranger.execute("commit")
        assert waiting.result(HANG).value == 2
        assert store.states.set(*K, 3).version == 3
    stranger.close()


def test_it_opens_the_log_and_nothing_else(path: Path) -> None:
    # To close the store's own file, or its -shm, would drop the locks that SQLite holds on it in this process.
    ours = Turnstile(str(path))
    assert ours._enter()
    assert ours._file is not None
    assert os.path.samestat(os.fstat(ours._file), os.stat(f"{path}-wal"))
