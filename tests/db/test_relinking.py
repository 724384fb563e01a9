"""Migration 0004: the chain of a store that an older library wrote, by its own formula, is linked anew."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from statedb import Imported, Store
from statedb.db.sqlite.opening import create_at
from tests.helpers import Clock, pages

MANY = 620
"""More commits than the migration reads at a time."""


def old_link(previous: bytes, commit: tuple[Any, ...], lines: list[Any], clocks: list[Any]) -> bytes:
    """Return a commit's hash as the library of schema 0003 had it: BLAKE2b, with the time inside the content."""
    content = to_json([commit[1:], lines, clocks])
    return hashlib.blake2b(previous + content, digest_size=16).digest()


def old_hashes(raw: sqlite3.Connection) -> dict[int, bytes]:
    """Return the hash of every commit by the old formula."""
    names = "select {} from {} t join agent_states s on s.id = t.state_id join agents a on a.id = s.agent_id"
    versions = raw.execute(
        names.format(
            "t.revision, a.name, state_type, state_key, t.version, t.parent_version, source_version, change, t.digest, "
            "t.metadata, null, t.expires_at, s.id",
            "state_versions",
        )
    ).fetchall()
    numbers: dict[int, dict[int, int]] = {}
    for revision, *line, state in versions:
        numbers.setdefault(state, {})[revision] = line[3]
    touches = []
    for revision, *name, state, ttl, expires_at in raw.execute(
        names.format("t.revision, a.name, state_type, state_key, s.id, t.ttl, t.expires_at", "state_touches")
    ):
        version = max(number for made, number in numbers[state].items() if made <= revision)
        touches.append((revision, *name, version, None, None, "touch", None, None, ttl, expires_at))
    clocks = raw.execute(
        "select revision, a.name, w.name, t.ttl, t.expires_at from session_touches t "
        "join sessions w on w.id = t.session_id join agents a on a.id = w.agent_id order by 1, 2, 3"
    ).fetchall()
    commits = raw.execute(
        "select revision, branch_id, merge_parent, kind, at, origin_at, origin, origin_revision, actor, message, "
        "context from state_commits order by revision"
    ).fetchall()

    found, previous = {}, b""
    for commit in commits:
        made = sorted((row[1:-1] for row in versions if row[0] == commit[0]), key=lambda line: line[:3])
        moved = sorted((row[1:] for row in touches if row[0] == commit[0]), key=lambda line: line[:3])
        lines = [[each.hex() if isinstance(each, bytes) else each for each in line] for line in made + moved]
        previous = old_link(previous, commit, lines, [row[1:] for row in clocks if row[0] == commit[0]])
        found[commit[0]] = previous
    return found


def write_something_of_everything(store: Store, clock: Clock, elsewhere: Store) -> None:
    s = store.states
    s.set("b", "persistent", "prefs", {"theme": "dark"}, message="first\nrun", metadata={"src": "ui", "n": 1.5})
    s.set("b", "persistent", "prefs", {"theme": "light"})
    s.set_many("a", "local", {"z": b"\x00\xff", "é": None, "b": "x" * 20_000})
    s.set("a", "session", "call", 1, ttl=60)
    s.touch("a", "session", "call", ttl=120)
    chat = store.agent("a").session("c7", ttl=30)
    chat.set("topic", "ships")
    chat.set("draft", "Dear…")
    store.agent("b").session("c7").set("topic", "planes")
    clock.advance(40)
    chat.set("topic", "again")  # its first life is recorded as expired before
    chat.close()
    clock.advance(100_000)
    store.retention.sweep()
    s.set("a", "session", "call", 2)
    s.delete("b", "persistent", "prefs")
    s.set("b", "persistent", "prefs", [1])
    with store.transaction(message="both", actor="broker", context={"ticket": 7}) as tx:
        tx.states.delete("a", "local", "z")
        tx.states.set("ünï", "shared", "k", 10**40)
        tx.states.touch("a", "session", "call", ttl=5)
    store.history.revert("b", "persistent", "prefs", 2)
    store.undo(revision=store.transfer.head())
    elsewhere.states.set("far", "shared", "k", 1, message="from afar")
    elsewhere.states.delete("far", "shared", "k")
    store.transfer.load(list(pages(elsewhere)))
    store.transfer.load_versions("git", "persistent", "f", [Imported(n, {"n": n}, by="ann") for n in range(MANY)])


@pytest.fixture
def old(tmp_path: Path, clock: Clock) -> Path:
    """A store of schema 0003, as the library of that time left it."""
    new, path = tmp_path / "new.db", tmp_path / "old.db"
    with Store(new, clock=clock, actor="ui") as store, Store(":memory:", clock=clock) as elsewhere:
        write_something_of_everything(store, clock, elsewhere)
    create_at(str(path), "0003")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("delete from store_info")
        raw.execute("attach ? as new", [str(new)])
        for table in tables(raw):
            listed = ", ".join(columns(raw, table))
            raw.execute(f"insert into main.{table} ({listed}) select {listed} from new.{table}")
        for revision, linked in old_hashes(raw).items():
            raw.execute("update state_commits set hash = ? where revision = ?", [linked, revision])
        raw.commit()
    return path


def tables(raw: sqlite3.Connection) -> list[str]:
    found = raw.execute("select name from main.sqlite_master where type = 'table' and name <> 'alembic_version'")
    return [name for (name,) in found]


def columns(raw: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in raw.execute(f"pragma main.table_info({table})")]


def rows(path: Path) -> dict[str, list[Any]]:
    """Return every row of a store, but without the hashes, and without what that schema had not yet."""
    found = {}
    with closing(sqlite3.connect(path)) as raw:
        for table in tables(raw):
            kept = ", ".join(name for name in columns(raw, table) if name not in ("hash", "incarnation"))
            found[table] = raw.execute(f"select {kept} from {table}").fetchall()
    return found


def test_an_old_store_with_something_of_everything_is_linked_anew(old: Path) -> None:
    before = rows(old)
    assert all(before.values())
    assert {row[3] for row in before["state_commits"]} == {"write", "touch", "expire"}
    assert any(row[6] is not None for row in before["state_commits"]), "no commit that was first made elsewhere"
    assert {row[6] for row in before["state_versions"]} == {"create", "update", "delete", "expire"}
    with Store(old) as store:
        assert store.health.check().problems == ()
    after = rows(old)
    assert {table: after[table] for table in before} == before
    with Store(old) as store:
        store.states.set("b", "persistent", "prefs", "and on")
        assert store.health.check().problems == ()


def test_without_being_linked_anew_it_would_be_found_damaged(old: Path) -> None:
    with closing(sqlite3.connect(old)) as raw, raw:
        raw.execute("update alembic_version set version_num = '0004'")
    with Store(old) as store:
        assert not store.health.check().ok
