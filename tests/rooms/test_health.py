"""Health: whatever SQL does to a store's rows behind its back is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from statedb import AutoCheckpoint, Compacted, Corrupted, InvalidValue, Store
from tests.helpers import Clock, calls
from tests.places import is_url, only_sqlite, tamper

K = ("a", "persistent", "k")
KEY = "(select id from agent_states where state_key = 'k')"


def make(where: str, clock: Clock) -> None:
    """Make a store with a row of every sort, each commit a second after the one before."""
    with Store(where, clock=clock) as store:
        for number in range(1, 5):
            store.states.set(*K, {"n": number}, message=f"m{number}", metadata={"m": number})
            clock.advance(1)
        store.states.set("b", "shared", "large", "x" * 40_000)
        store.states.set("b", "shared", "raw", b"\0raw")
        store.states.set("b", "local", "timed", 1, ttl=60)
        clock.advance(1)
        store.states.touch("b", "local", "timed", ttl=90)
        session = store.agent("c").session("s", ttl=1000)
        session.set_many({"x": 1, "y": 2})
        clock.advance(1)
        session.touch("x")
        store.states.delete("b", "shared", "raw")
        with store.transaction(actor="me", context={"c": 1}) as tx:
            tx.states.set("a", "local", "last", 1)
            tx.states.set("c", "local", "last", 1)


def name_things(store: Store) -> None:
    """Make a row of every table of what has a name, after what `make` made, and end some."""
    store.branches.create("lab", at=3)
    store.branches.create("gone")
    store.branches.delete("gone")
    lab = store.branch("lab")
    lab.states.set(*K, {"n": "lab"})
    lab.agent("c").session("s", ttl=1000).set("x", 3)
    store.checkpoints.create("c1", agent_id="a", metadata={"m": 1})
    store.checkpoints.configure("a", AutoCheckpoint(max_checkpoints=2))
    store.branches.merge("lab", strategy="manual")
    store.states.set("b", "shared", "large", b"raw", expected_version=0, on_conflict="manual")
    store.conflicts.resolve(2, strategy="theirs")
    store.locks.acquire("a", "plan", owner="me", ttl=10**9, metadata={"m": 1})
    store.locks.release(store.locks.acquire("a", "other"))


def value_of(table: str, change: str, where: str) -> str:
    return f"update {table} set {change} where {where}"


ONE = f"state_id = {KEY} and version = 2"
TAMPERED: dict[str, str] = {
    # a version
    "a version's value": value_of("state_versions", "value = '{\"n\":99}'", ONE),
    "a version's value, of the same length": value_of("state_versions", "value = '{\"n\":3}'", ONE),
    "the newest version's value": value_of("state_versions", "value = '7'", f"state_id = {KEY} and version = 4"),
    "a version's metadata": value_of("state_versions", "metadata = '{\"m\":7}'", ONE),
    "a version's digest": value_of("state_versions", "digest = randomblob(16)", ONE),
    "a version's size": value_of("state_versions", "size = size + 1", ONE),
    "a version's change": value_of("state_versions", "change = 'create'", ONE),
    "a version's parent": value_of("state_versions", "parent_version = 3", ONE),
    "a version's source": value_of("state_versions", "source_version = 1", ONE),
    "a version's number": value_of("state_versions", "version = 7", ONE),
    "a version's expiry": value_of("state_versions", "expires_at = 5", ONE),
    "where a version was created": value_of("state_versions", "created_revision = 2", ONE),
    "a version's codec": value_of("state_versions", "codec = 1", ONE),
    "a compressed value": value_of("state_versions", "data = substr(data, 1, 10)", "codec = 2"),
    "bytes": value_of("state_versions", "data = x'00'", "codec = 1"),
    "a version deleted": f"delete from state_versions where {ONE}",
    "the newest version deleted": f"delete from state_versions where state_id = {KEY} and version = 4",
    "the first version deleted": f"delete from state_versions where state_id = {KEY} and version = 1",
    "a deletion deleted": "delete from state_versions where change = 'delete'",
    "all versions of a key deleted": f"delete from state_versions where state_id = {KEY}",
    "a version given to another key": value_of(
        "state_versions", "state_id = (select id from agent_states where state_key = 'timed')", ONE
    ),
    # a value everywhere at once
    "a value in head and history": value_of("state_versions", "value = '7'", f"state_id = {KEY} and version = 4")
    + f"; update agent_states set value = '7' where id = {KEY}",
    # a head
    **{
        f"a head's {column}": value_of("agent_states", f"{column} = {to}", "state_key = 'k'")
        for column, to in {
            "value": "'{\"n\":3}'",
            "metadata": "null",
            "version": "3",
            "parent_version": "1",
            "revision": "3",
            "created_revision": "2",
            "created_at": "created_at + 1",
            "created_by": "'somebody'",
            "updated_at": "updated_at + 1",
            "ttl": "5",
            "expires_at": "5",
            "digest": "randomblob(16)",
            "codec": "null",
            "salt": "randomblob(16)",
            "state_key": "'renamed'",
            "state_type": "'shared'",
            "agent_id": "agent_id + 1",
            "floor": "3",
        }.items()
    },
    "the expiry of a head with a ttl": value_of("agent_states", "expires_at = expires_at + 1", "state_key = 'timed'"),
    "the ttl of a head with a ttl": value_of("agent_states", "ttl = ttl + 1", "state_key = 'timed'"),
    "a head that leaves its session": value_of("agent_states", "session_id = null", "state_key = 's/x'"),
    "a head deleted": "delete from agent_states where state_key = 'timed'",
    "a head and its versions deleted": f"delete from state_versions where state_id = {KEY}; "
    "delete from agent_states where state_key = 'k'",
    "an agent renamed": value_of("agents", "name = 'z'", "name = 'a'"),
    "two agents exchanged": "update agents set name = 'tmp' where name = 'a'; "
    "update agents set name = 'a' where name = 'b'; update agents set name = 'b' where name = 'tmp'",
    # a commit
    "a commit's message": value_of("state_commits", "message = 'forged'", "revision = 2"),
    "a commit's message taken away": value_of("state_commits", "message = null", "revision = 2"),
    "the newest commit's message": value_of(
        "state_commits", "message = 'forged'", "revision = (select max(revision) from state_commits)"
    ),
    "a commit's actor": value_of("state_commits", "actor = 'forged'", "revision = 2"),
    "a commit's context": value_of("state_commits", "context = '{}'", "context is not null"),
    "a commit's kind": value_of("state_commits", "kind = 'touch'", "revision = 2"),
    "a commit's time": value_of("state_commits", "at = at + 1", "revision = 2"),
    "a commit's time of origin": value_of("state_commits", "origin_at = 5", "revision = 2"),
    "a commit's origin": value_of("state_commits", "origin = 'x', origin_revision = 5", "revision = 2"),
    "a commit's branch": value_of("state_commits", "branch_id = 2", "revision = 2"),
    "a commit's merge parent": value_of("state_commits", "merge_parent = 1", "revision = 2"),
    "a hash": value_of("state_commits", "hash = randomblob(16)", "revision = 2"),
    "the newest hash": value_of(
        "state_commits", "hash = randomblob(16)", "revision = (select max(revision) from state_commits)"
    ),
    "times swapped": "update state_commits set at = (select sum(at) from state_commits where revision in (2, 3)) - at "
    "where revision in (2, 3)",
    "a commit deleted": "delete from state_commits where revision = 2",
    "a commit deleted with its versions": "delete from state_versions where revision = 2; "
    "delete from commit_agents where revision = 2; delete from state_commits where revision = 2",
    "the newest commit deleted with its versions": """
        create temp table gone as select max(revision) as revision from state_commits;
        delete from state_versions where revision in (select revision from gone);
        delete from commit_agents where revision in (select revision from gone);
        delete from state_commits where revision in (select revision from gone)""",
    "two commits exchanged": "update state_commits set revision = -2 where revision = 2; "
    "update state_commits set revision = 2 where revision = 3; "
    "update state_commits set revision = 3 where revision = -2",
    # expiry
    "a touch": value_of("state_touches", "expires_at = expires_at + 1", "true"),
    "a touch's ttl": value_of("state_touches", "ttl = ttl + 1", "true"),
    "a touch deleted": "delete from state_touches",
    "a session's clock": value_of("sessions", "expires_at = expires_at + 1", "true"),
    "a session's ttl": value_of("sessions", "ttl = ttl + 1", "true"),
    "a session's name": value_of("sessions", "name = 't'", "true"),
    "a session's entry in the log": value_of("session_touches", "expires_at = expires_at + 1", "true"),
    "a session's entry deleted": "delete from session_touches "
    "where revision = (select max(revision) from session_touches)",
    # what an agent's log is read by
    "an agent's line of the log deleted": "delete from commit_agents where revision = 2",
    "a line of the log for an agent it did not touch": "insert into commit_agents "
    "select id, 2 from agents where name = 'b'",
}  # fmt: skip
NAMED: dict[str, str] = {
    **{
        f"a {table}'s {column}": value_of(table, f"{column} = {to}", where)
        for table, where, columns in (
            ("branches", "name = 'lab'", {"name": "'z'", "parent_id": 3, "base": 2, "ended_revision": 17}),
            ("branches", "name = 'gone'", {"ended_revision": "null", "created_revision": 13}),
            ("branches", "name = 'main'", {"name": "'z'"}),
            (
                "state_checkpoints",
                "true",
                {
                    "checkpoint_name": "'z'", "checkpoint_type": "'backup'", "revision": 3, "instant": 5,
                    "branch_id": 2, "agent_id": 2, "metadata": "'{\"m\":2}'", "ended_revision": 18,
                },
            ),
            ("checkpoint_policies", "true", {"config": "'null'", "agent_id": 2, "branch_id": 2}),
            (
                "state_conflicts",
                "id = 1",
                {"branch_id": 2, "state_key": "'z'", "kind": "'odd'", "source": "null", "ended_revision": 1},
            ),
            ("state_conflicts", "id = 2", {"ended_revision": "null, resolution = null"}),
            ("conflict_sides", "conflict_id = 1 and side = 'ours'", {"value": "'7'", "version": 1, "branch_id": 2}),
            ("conflict_sides", "conflict_id = 3 and side = 'ours'", {"data": "x'00'", "codec": "null, data = null"}),
            ("agent_states", "state_key = 's/x' and branch_id = 2", {"branch_id": 3}),
            ("sessions", "branch_id = 2", {"branch_id": 3}),
        )
        for column, to in columns.items()
    },
    "a branch that nobody made": "insert into branches (id, name, parent_id, base, created_revision) "
    "values (9, 'odd', 1, 2, 13)",
    "a branch deleted": "delete from branches where name = 'gone'",
    "a commit of a branch that had ended": "update branches set ended_revision = 15 where name = 'lab'",
    "a checkpoint deleted": "delete from state_checkpoints",
    "a policy deleted": "delete from checkpoint_policies",
    "a conflict deleted": "delete from state_conflicts where id = 1",
    "a side of a conflict deleted": "delete from conflict_sides where conflict_id = 1 and side = 'base'",
    **{
        f"a lock's {column}": value_of("state_locks", f"{column} = {to}", "fence = 1")
        for column, to in {
            "branch_id": 2, "agent_id": 2, "state_key": "'z'", "lock_type": "'read'", "locked_by": "'forged'",
            "locked_at": "locked_at + 1", "metadata": "null", "fence": 7, "changed_revision": "changed_revision - 1",
            "ended_revision": "changed_revision",
        }.items()
    },
    "a lock deleted": "delete from state_locks where fence = 1",
    "a lock that was given back stands again": value_of("state_locks", "ended_revision = null", "fence = 2"),
    "the last fence forgotten": "delete from state_locks where fence = 2",
    "what a commit did": value_of("commit_deeds", "said = '[7]'", "revision = 13"),
    "what a commit did deleted": "delete from commit_deeds where revision = 13",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("health") / "made.db"
    make(str(path), Clock())
    return path


@pytest.fixture
def copy(made: Path, where: str) -> str:
    """A store to damage. A file is copied while it is closed: opening and closing an open one drops SQLite's locks."""
    if is_url(where):
        make(where, Clock())
        return where
    return str(shutil.copy(made, where))


def test_a_store_nobody_touched_is_well(copy: str) -> None:
    with Store(copy, clock=Clock(1_800_000_000)) as store:
        health = store.health.check()
        assert (health.ok, health.problems) == (True, ())
        assert health.commits == store.transfer.head() == 12
        assert health.versions == len(store.feed.changes(limit=1000))


@pytest.mark.parametrize("script", TAMPERED.values(), ids=TAMPERED.keys())
def test_tampering_is_noticed(copy: str, script: str) -> None:
    assert tamper(copy, script) > 0
    with Store(copy, clock=Clock(1_800_000_000)) as store:
        health = store.health.check()
        assert not health.ok
        assert health.problems


@pytest.fixture(scope="module")
def made_with_names(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("health") / "named.db"
    shutil.copy(made, path)
    with Store(path, clock=Clock(1_700_000_100)) as store:
        name_things(store)
    return path


@only_sqlite
@pytest.mark.parametrize("script", NAMED.values(), ids=NAMED.keys())
def test_tampering_with_what_has_a_name_is_noticed(made_with_names: Path, where: str, script: str) -> None:
    shutil.copy(made_with_names, where)
    assert tamper(where, script) > 0
    with Store(where, clock=Clock(1_800_000_000)) as store:
        assert not store.health.check().ok


def test_what_has_a_name_is_well_until_somebody_touches_it(copy: str) -> None:
    with Store(copy, clock=Clock(1_700_000_100)) as store:
        name_things(store)
        assert store.health.check().problems == ()
    for number, table in enumerate(("branches", "state_checkpoints", "checkpoint_policies", "state_conflicts"), 1):
        assert (
            tamper(copy, f"update {table} set created_revision = created_revision - 1 where created_revision > 13") > 0
        )
        with Store(copy, clock=Clock(1_700_000_100)) as store:
            assert len(store.health.check().problems) > number


def test_a_damaged_value_is_named_and_refused_by_history(copy: str) -> None:
    tamper(copy, TAMPERED["a version's value"])
    with Store(copy, clock=Clock(1_800_000_000)) as store:
        assert any("k version 2" in problem for problem in store.health.check().problems)
        with pytest.raises(Corrupted, match="version 2"):
            store.history.get(*K, version=2)
        with pytest.raises(Corrupted):
            store.history.revert(*K, version=2)
        assert store.history.get(*K, version=1).value == {"n": 1}


def test_a_compressed_value_cut_short_is_corrupted_not_something_else(copy: str) -> None:
    tamper(copy, "update agent_states set data = substr(data, 1, 10) where codec = 2")
    with Store(copy, clock=Clock(1_800_000_000)) as store:
        with pytest.raises(Corrupted):
            store.states.get("b", "shared", "large")
        assert not store.health.check().ok


def test_a_past_below_what_was_kept_is_refused_never_guessed(copy: str) -> None:
    tamper(copy, "update agent_states set floor = 3 where state_key = 'k'")
    with Store(copy, clock=Clock(1_800_000_000)) as store:
        past = store.at(2)
        for read in calls(
            lambda: past.states.get(*K),
            lambda: past.states.entry(*K),
            lambda: past.states.keys("a", "persistent"),
            lambda: past.states.items("a", "persistent", "k*"),
        ):
            with pytest.raises(Compacted) as caught:
                read()
            assert caught.value.floor == 3
        assert past.states.keys("a", "local") == []
        assert store.at(3).states.get(*K) == {"n": 3}
        assert store.states.get(*K) == {"n": 4}


@only_sqlite
def test_a_file_that_sqlite_finds_damaged_is_reported(copy: str) -> None:
    with open(copy, "r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xff" * 4096)
    try:
        with Store(copy) as store:
            assert not store.health.check().ok
    except Corrupted:
        pass  # or said outright, at opening or by the check


def test_what_a_store_holds_is_counted_and_of_the_present_alone(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "x", "12", ttl=5)
    store.states.set("b", "persistent", "y", {"n": 1})
    store.states.set("b", "persistent", "y", {"n": 2})
    store.agent("b").session("c", ttl=60).set("z", 1)
    found = store.health.stats()
    assert (found.revision, found.agents, found.sessions, found.value_bytes) == (4, 2, 1, 4 + 7 + 7 + 1)
    assert {tier: count for tier, count in found.keys.items() if count} == {"local": 1, "persistent": 1, "session": 1}
    assert {tier: count for tier, count in found.versions.items() if count} == {
        "local": 1,
        "persistent": 2,
        "session": 1,
    }
    assert (found.oldest, found.newest) == (clock.moment, clock.moment)
    assert found.size > 0
    clock.advance(100)
    found = store.health.stats()
    assert (sum(found.keys.values()), found.sessions) == (1, 0), "what has expired is not counted, swept or not"
    with pytest.raises(InvalidValue, match="past"):
        store.at(1).health.stats()
