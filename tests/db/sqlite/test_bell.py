"""The bell beside a store's file: who hears it, who does not, and who takes it down."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from statedb import Store, StoreClosed
from statedb.db.sqlite import bell
from statedb.db.sqlite.bell import DOUBT, FAST, SLOW, Bell, Hearing
from tests.helpers import HANG

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no inotify")


class Instant:
    """A clock for the bell, and a stamp of the file."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stamp: int | None = 1


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> Instant:
    made = Instant()
    monkeypatch.setattr(bell, "monotonic", lambda: made.now)
    return made


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "store.db"
    made.write_bytes(b"")
    return str(made)


@pytest.fixture
def hearing(file: str, instant: Instant) -> Iterator[Hearing]:
    made = Hearing(file, lambda: instant.stamp)
    assert made.open() is not None
    yield made
    made.close()


def test_a_ring_is_heard_once(hearing: Hearing, file: str) -> None:
    assert not hearing.heard()
    Bell(file).ring()
    assert hearing.heard()
    assert not hearing.heard()


def test_a_bell_is_looked_for_now_and_then_and_found_gone(file: str, instant: Instant) -> None:
    writer, hearing = Bell(file), Hearing(file, lambda: 1)
    writer.ring()
    hearing.open()
    writer.ring()
    assert not hearing.heard()
    instant.now += bell.SEEN
    writer.ring()
    assert hearing.heard()
    hearing.close()
    hearing.open()
    writer.ring()  # at the one that was taken down
    assert not hearing.heard()
    instant.now += bell.SEEN
    writer.ring()
    assert hearing.heard()
    hearing.close()


def test_it_looks_often_while_writers_may_not_have_seen_the_bell_and_seldom_afterwards(
    hearing: Hearing, instant: Instant
) -> None:
    assert hearing.patience() == FAST
    instant.now += 1
    assert hearing.patience() == SLOW


def test_a_commit_without_a_ring_is_found_and_makes_it_look_often(hearing: Hearing, instant: Instant) -> None:
    instant.now += 1
    assert not hearing.look()
    instant.stamp = 2
    assert hearing.look()
    assert not hearing.look()
    assert hearing.patience() == FAST
    instant.now += DOUBT
    assert hearing.patience() == SLOW


def test_a_commit_that_was_heard_is_no_reason_to_look_often(hearing: Hearing, file: str, instant: Instant) -> None:
    instant.now += 1
    Bell(file).ring()
    instant.stamp = 2
    assert hearing.heard()
    assert not hearing.look()
    assert hearing.patience() == SLOW


def test_a_file_that_cannot_tell_at_the_moment_tells_later(hearing: Hearing, instant: Instant) -> None:
    instant.stamp = None
    assert not hearing.look()
    instant.stamp = 2
    assert hearing.look()


def test_the_last_to_leave_takes_the_bell_down_be_it_one_that_a_killed_process_left(file: str) -> None:
    Path(bell.beside(file)).write_bytes(b"statedb\n")
    first, second = Hearing(file, lambda: 1), Hearing(file, lambda: 1)
    first.open()
    second.open()
    first.close()
    assert os.path.exists(bell.beside(file))
    second.close()
    assert not os.path.exists(bell.beside(file))


@pytest.mark.parametrize("sort", ["notes", "pipe"])
def test_what_has_the_name_of_a_bell_and_is_none_is_left_alone(file: str, instant: Instant, sort: str) -> None:
    other = Path(bell.beside(file))
    if sort == "pipe":
        os.mkfifo(other)
    else:
        other.write_bytes(b"the file of another store, for one")
    before = other.stat()
    hearing = Hearing(file, lambda: instant.stamp)
    assert hearing.open() is None
    instant.now += 1
    assert hearing.patience() == FAST
    Bell(file).ring()
    hearing.close()
    after = other.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)


def test_a_bell_that_somebody_deleted_is_hung_up_again(hearing: Hearing, file: str, instant: Instant) -> None:
    os.unlink(bell.beside(file))
    instant.now += 1
    assert hearing.patience() == SLOW
    assert hearing.look()  # who committed meanwhile rang the one that is gone
    assert hearing.patience() == FAST  # until writers have seen it
    Bell(file).ring()
    assert hearing.heard()
    assert not hearing.look()
    instant.now += 1
    assert hearing.patience() == SLOW


def test_a_bell_that_cannot_be_hung_up_again_is_done_without(hearing: Hearing, file: str, instant: Instant) -> None:
    os.unlink(bell.beside(file))
    os.mkdir(bell.beside(file))
    instant.now += 1
    assert hearing.look()
    assert not hearing.look()
    instant.now += 1
    assert hearing.patience() == FAST
    instant.stamp = 2
    assert hearing.look()


def test_who_leaves_does_not_take_down_the_bell_of_others_in_its_place(file: str) -> None:
    first, second = Hearing(file, lambda: 1), Hearing(file, lambda: 1)
    first.open()
    os.unlink(bell.beside(file))  # somebody tidied up
    second.open()
    first.close()
    Bell(file).ring()
    assert second.heard()
    second.close()


def test_where_no_bell_can_hang_it_looks_often(tmp_path: Path, instant: Instant) -> None:
    hearing = Hearing(str(tmp_path / "no" / "folder"), lambda: instant.stamp)
    assert hearing.open() is None
    instant.now += 1
    assert hearing.patience() == FAST
    instant.stamp = 2
    assert hearing.look()
    hearing.close()


def test_a_child_that_lets_go_of_it_leaves_the_parent_its_bell(file: str) -> None:
    hearing = Hearing(file, lambda: 1)
    hearing.open()
    if (child := os.fork()) == 0:
        hearing.abandon()
        os._exit(0)
    os.waitpid(child, 0)
    Bell(file).ring()
    assert hearing.heard()
    hearing.close()
    assert not os.path.exists(bell.beside(file))


def test_a_link_to_a_store_rings_the_same_bell(hearing: Hearing, file: str, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(file)
    Bell(str(tmp_path / "link.db")).ring()
    assert hearing.heard()


# ---- through a store


def test_a_commit_of_another_store_rings_and_the_bell_goes_with_the_last_who_waits(path: Path) -> None:
    with Store(path) as mine, Store(path) as other:
        assert not os.path.exists(bell.beside(str(path)))
        with mine.hub.attended():
            seen = hung_up(mine, path)
            other.states.set("a", "local", "k", 1)
            assert mine.hub.wait(seen, HANG) != seen
        assert not os.path.exists(bell.beside(str(path)))
        seen = mine.hub.rings
        mine.hub.attend()
        hung_up(mine, path, seen)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_writer_that_knows_of_no_bell_is_noticed(path: Path) -> None:
    with Store(path) as store, store.hub.attended():
        seen = hung_up(store, path)
        with closing(sqlite3.connect(path)) as stranger:
            stranger.execute("create table strange (a)")
            assert store.hub.wait(seen, HANG) != seen


def test_a_child_forked_while_somebody_watches_finds_it_closed_and_the_parent_goes_on(path: Path) -> None:
    with Store(path) as mine, Store(path) as other, mine.hub.attended():
        seen = hung_up(mine, path)
        if (child := os.fork()) == 0:
            try:
                mine.hub.wait(seen, HANG)
            except StoreClosed:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        seen = mine.hub.rings
        other.states.set("a", "local", "k", 1)
        assert mine.hub.wait(seen, HANG) != seen


def hung_up(store: Store, path: Path, seen: int = 0) -> int:
    """Wait until the listener has begun, which it says by a ring, and return how many there were."""
    while store.hub.rings == seen:
        store.hub.wait(seen, HANG)
    assert os.path.exists(bell.beside(str(path)))
    return store.hub.rings
