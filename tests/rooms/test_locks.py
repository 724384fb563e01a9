"""Locks: who may write a key, and for how long, sentence by sentence."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from statedb import Fenced, InTransaction, InvalidKey, InvalidValue, LockHeld, LockType, ReadOnly
from statedb.models import StateType
from tests.conftest import Opener
from tests.helpers import Clock, calls, pages
from tests.places import APART

SORTS = ("file", "memory", "postgres", "async file", "async postgres")

TIERS = [tier.value for tier in StateType]
SHARE = {("read", "read"), ("read", "write"), ("write", "read")}


@pytest.mark.parametrize(("one", "other"), list(itertools.product(LockType, LockType)))
def test_who_shares_with_whom(filed: Any, one: str, other: str) -> None:
    filed.locks.acquire("a", "k", one)
    if (one, other) in SHARE:
        assert filed.locks.acquire("a", "k", other).fence == 2
    else:
        with pytest.raises(LockHeld):
            filed.locks.acquire("a", "k", other)


def test_a_lock_says_what_it_is(store: Any, clock: Clock) -> None:
    lock = store.locks.acquire("a", "k", "write", ttl=timedelta(seconds=5), owner="me", metadata={"why": "test"})
    assert (lock.agent_id, lock.key, lock.type, lock.fence, lock.owner) == ("a", "k", LockType.WRITE, 1, "me")
    assert (lock.acquired_at, lock.expires_at) == (clock.moment, clock.moment + timedelta(seconds=5))
    assert (lock.ttl, lock.metadata, lock.lost) == (5.0, {"why": "test"}, False)
    [listed] = store.locks.list("a")
    assert (listed.fence, listed.owner, listed.metadata, listed.branch) == (1, "me", {"why": "test"}, "main")
    assert store.locks.list("b") == []


def test_a_key_is_locked_in_all_four_tiers_and_nothing_else_is(store: Any) -> None:
    lock = store.locks.acquire("a", "k")
    for tier in TIERS:
        with pytest.raises(LockHeld):
            store.states.set("a", tier, "k", 1)
        assert lock.states.set("a", tier, "k", 1).version == 1
        assert store.states.set("a", tier, "other", 1).version == 1
        assert store.states.set("b", tier, "k", 1).version == 1


@pytest.mark.parametrize("type", ["write", "exclusive"])
def test_each_kind_of_write_wants_the_fence(store: Any, type: str) -> None:
    store.states.set("a", "persistent", "k", {"n": 1}, ttl=60)
    lock = store.locks.acquire("a", "k", type)
    at = ("a", "persistent", "k")
    agent = store.agent("a").persistent
    without = calls(
        lambda: store.states.set(*at, 2),
        lambda: store.states.set(*at, {"n": 1}, ttl=60),  # which would change nothing
        lambda: store.states.set(*at, 2, expected_version=1),
        lambda: store.states.set(*at, 2, expected_version=0, on_conflict="theirs"),  # which would write nothing
        lambda: store.states.update(*at, lambda v: v),
        lambda: store.states.patch(*at, {"n": 2}),
        lambda: store.states.touch(*at),
        lambda: store.states.delete(*at),
        lambda: store.states.delete("a", "local", "k"),  # where there is nothing
        lambda: store.states.set_many("a", "persistent", {"before": 1, "k": 2}),
        lambda: agent.set("k", 2),
        lambda: agent.delete("k"),
        lambda: agent.clear("*"),
        lambda: store.history.revert(*at, version=1),
    )
    for call in without:
        with pytest.raises(LockHeld) as refused:
            call()
        assert [each.fence for each in refused.value.holders] == [lock.fence]
    assert store.states.keys("a", "persistent") == ["k"]
    fence = lock.fence
    assert store.states.set(*at, {"n": 2}, fence=fence).version == 2
    assert store.states.update(*at, lambda v: {"n": v["n"] + 1}, fence=fence).version == 3
    assert store.states.patch(*at, {"m": 1}, fence=fence).version == 4
    assert store.states.touch(*at, ttl=9, fence=fence)
    assert store.states.set_many("a", "persistent", {"k": 1, "other": 2}, fence=fence)["k"].version == 5
    assert agent.set("k", 2, fence=fence).version == 6
    assert store.states.delete(*at, fence=fence)


def test_a_read_lock_keeps_nobody_from_writing(store: Any) -> None:
    lock = store.locks.acquire("a", "k", "read")
    assert store.states.set("a", "local", "k", 1).version == 1
    assert lock.states.set("a", "local", "k", 2).version == 2
    writer = store.locks.acquire("a", "k", "write")
    with pytest.raises(LockHeld):
        lock.states.set("a", "local", "k", 3)
    assert writer.states.set("a", "local", "k", 3).version == 3


def test_a_handle_with_a_fence_reads_and_writes_like_any_other(store: Any) -> None:
    lock = store.locks.acquire("a", "k")
    assert lock.states.set_many("a", "local", {"k": 1, "free": 2}).keys() == {"k", "free"}
    assert (lock.states.get("a", "local", "k"), lock.states.keys("a", "local")) == (1, ["free", "k"])
    assert lock.states.update("a", "local", "k", lambda v: v + 1).value == 2


def test_a_session_handle_takes_a_fence(store: Any) -> None:
    session = store.agent("a").session("c7", ttl=60)
    lock = store.locks.acquire("a", "c7/k")
    with pytest.raises(LockHeld):
        session.set("k", 1)
    with pytest.raises(LockHeld):
        session.set_many({"k": 1})
    assert session.set("k", 1, fence=lock.fence).version == 1
    assert session.set_many({"k": 2, "l": 1}, fence=lock.fence)["k"].version == 2


def test_a_lease_ends_by_the_stores_clock(store: Any, clock: Clock) -> None:
    lock = store.locks.acquire("a", "k", ttl=10)
    clock.advance(9.999999)
    assert store.locks.list() != []
    clock.advance(0.000001)
    assert store.locks.list() == []
    with pytest.raises(Fenced) as refused:
        lock.states.set("a", "local", "k", 1)
    assert refused.value.fence == lock.fence
    assert store.states.set("a", "local", "k", 2).version == 1
    assert not store.locks.release(lock)
    with pytest.raises(Fenced):
        store.locks.renew(lock)


def test_a_fence_that_was_given_back_is_stale_whatever_is_written(store: Any) -> None:
    old = store.locks.acquire("a", "k")
    assert store.locks.release(old)
    at = ("a", "local", "k")
    store.states.set(*at, 1)
    stale = calls(
        lambda: old.states.set(*at, 1),  # which would change nothing
        lambda: old.states.set(*at, 2),
        lambda: old.states.touch(*at),
        lambda: old.states.delete("a", "local", "absent"),
        lambda: old.states.set("a", "local", "other", 1),
        lambda: store.states.set(*at, 1, fence=99),
    )
    for call in stale:
        with pytest.raises(Fenced):
            call()
    new = store.locks.acquire("a", "k")
    for call in stale:
        with pytest.raises(Fenced):
            call()
    assert new.fence > old.fence


def test_a_fence_is_of_its_key(store: Any) -> None:
    mine, other = store.locks.acquire("a", "k"), store.locks.acquire("a", "l")
    with pytest.raises(LockHeld):
        mine.states.set("a", "local", "l", 1)
    assert other.states.set("a", "local", "free", 1).version == 1


def test_renewing_moves_the_end_and_is_no_commit(store: Any, clock: Clock) -> None:
    lock = store.locks.acquire("a", "k", ttl=10)
    clock.advance(6)
    assert store.locks.renew(lock).expires_at == clock.moment + timedelta(seconds=10)
    clock.advance(9)
    assert store.locks.renew(lock.fence, ttl=100).ttl == 100
    clock.advance(99)
    assert lock.states.set("a", "local", "k", 1).revision == 2
    with pytest.raises(LockHeld):
        store.states.set("a", "local", "k", 2)
    clock.advance(1)
    assert store.states.set("a", "local", "k", 2).revision == 3


def test_fences_only_rise_over_the_whole_store(store: Any, clock: Clock) -> None:
    fences = []
    for round in range(3):
        for agent, key in (("a", "k"), ("a", "l"), ("b", "k")):
            lock = store.locks.acquire(agent, key, ttl=5)
            fences.append(lock.fence)
            if round == 1:
                store.locks.release(lock)
        clock.advance(5)
    store.branches.create("lab")
    fences.append(store.branch("lab").locks.acquire("a", "k").fence)
    store.restore(1)
    fences.append(store.locks.acquire("a", "k").fence)
    assert fences == sorted(set(fences))


def test_who_is_refused_is_told_who_holds_it_and_what_to_do(store: Any, clock: Clock) -> None:
    lock = store.locks.acquire("a", "plan", owner="broker-1")
    for call in calls(lambda: store.locks.acquire("a", "plan"), lambda: store.states.set("a", "local", "plan", 1)):
        with pytest.raises(LockHeld, match=r"broker-1.*store\.locks\.acquire") as refused:
            call()
        [holder] = refused.value.holders
        assert (holder.owner, holder.type, holder.fence) == ("broker-1", "exclusive", lock.fence)
        assert holder.expires_at == clock.moment + timedelta(seconds=30)
        assert (refused.value.agent_id, refused.value.key) == ("a", "plan")


def test_the_feed_tells_what_happened_to_locks(store: Any, clock: Clock) -> None:
    first = store.locks.acquire("a", "k", owner="one")
    store.locks.release(first)
    store.locks.acquire("a", "k", "write", ttl=1)
    store.locks.acquire("b", "k")
    clock.advance(1)
    store.locks.acquire("a", "k")
    told = [(each.change, each.agent_id, each.fence, each.owner, each.revision) for each in store.feed.locks()]
    assert told == [
        ("lock", "a", 1, "one", 1),
        ("unlock", "a", 1, "one", 2),
        ("lock", "a", 2, None, 3),
        ("lock", "b", 3, None, 4),
        ("lapse", "a", 2, None, 5),
        ("lock", "a", 4, None, 6),
    ]
    assert [each.revision for each in store.feed.locks(since=3, limit=2)] == [4, 5]
    assert [each.fence for each in store.feed.locks(agent_id="b")] == [3]
    assert [commit.kind for commit in store.history.commits()] == ["lock"] * 6


def test_a_lapse_is_nobodys_deed_and_a_sweep_records_it(store: Any, clock: Clock) -> None:
    with store.transaction(actor="me") as tx:
        tx.locks.acquire("a", "k", ttl=1)
    clock.advance(1)
    assert store.retention.sweep() == 1
    assert store.retention.sweep() == 0
    lock, lapse = store.feed.locks()
    assert (lock.by, lapse.change, lapse.by) == ("me", "lapse", None)


def test_a_sweep_records_no_more_than_it_is_told_to(store: Any, clock: Clock) -> None:
    store.states.set("a", "local", "brief", 1, ttl=1)
    for _ in range(3):
        store.locks.acquire("a", "k", "read", ttl=1)
    clock.advance(1)
    assert [store.retention.sweep(limit=2) for _ in range(3)] == [2, 2, 0]
    assert [each.fence for each in store.feed.locks() if each.change == "lapse"] == [1, 2, 3]


def test_in_a_transaction_a_lock_is_taken_with_its_commit_or_not_at_all(store: Any) -> None:
    def fail(tx: Any) -> None:
        tx.locks.acquire("a", "k")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        store.run(fail)
    assert store.locks.list() == []
    with store.transaction() as tx:
        lock = tx.locks.acquire("a", "k")
        with pytest.raises(LockHeld):
            tx.states.set("a", "local", "k", 1)
        with pytest.raises(LockHeld):
            tx.locks.acquire("a", "k", "read")
        lock.states.set("a", "local", "k", 1)
        other = tx.locks.acquire("a", "l", wait=timedelta())
        assert tx.locks.release(other)
        assert not tx.locks.release(other)
        again = tx.locks.acquire("a", "l")
        tx.locks.renew(again, ttl=60)
        with pytest.raises(InTransaction):
            tx.locks.acquire("a", "m", wait=1)
        with pytest.raises(InTransaction):
            tx.locks.hold("a", "m")
    assert [each.fence for each in store.locks.list()] == [lock.fence, again.fence]
    assert store.states.set("a", "local", "k", 2, fence=lock.fence).version == 2


def test_a_transaction_lists_the_locks_as_it_leaves_them(store: Any) -> None:
    standing, ended = store.locks.acquire("a", "m"), store.locks.acquire("b", "k")
    with store.transaction() as tx:
        tx.locks.release(ended)
        taken = [tx.locks.acquire("a", key, "read") for key in ("n", "l", "n")]
        tx.locks.renew(standing, ttl=60)
        seen = tx.locks.list()
        assert [each.fence for each in seen] == [taken[1].fence, standing.fence, taken[0].fence, taken[2].fence]
        assert tx.locks.list("b") == []
    assert store.locks.list() == seen


def test_nothing_that_has_no_sense_is_taken(store: Any) -> None:
    wrong = calls(
        lambda: store.locks.acquire("a", "k", "mutex"),
        lambda: store.locks.acquire("a", "k", ttl=0),
        lambda: store.locks.acquire("a", "k", ttl=float("inf")),
        lambda: store.locks.acquire("a", "k", wait=-1),
        lambda: store.locks.acquire("a", "k", owner=7),
        lambda: store.locks.acquire("a", "k", metadata=[1]),
        lambda: store.locks.release("k"),
        lambda: store.locks.renew(None),
        lambda: store.states.set("a", "local", "k", 1, fence="1"),
        lambda: store.states.set("a", "local", "k", 1, fence=0),
    )
    for call in wrong:
        with pytest.raises(InvalidValue):
            call()
    with pytest.raises(InvalidKey):
        store.locks.acquire("", "k")
    assert store.history.commits() == []


# ---- what obeys locks, and what does not


def test_undo_restore_and_merge_are_refused_whole(store: Any) -> None:
    store.states.set_many("a", "local", {"free": 1, "k": 1})
    store.branches.create("lab")
    store.branch("lab").states.set_many("a", "local", {"free": 3, "k": 3})
    changed = store.states.set_many("a", "local", {"free": 2, "k": 2})["k"].revision
    lock = store.locks.acquire("a", "k")
    before = store.history.commits()
    refused = calls(
        lambda: store.undo(changed),
        lambda: store.restore(1),
        lambda: store.branches.merge("lab", strategy="theirs"),
    )
    for call in refused:
        with pytest.raises(LockHeld):
            call()
    assert store.history.commits() == before
    assert store.restore(1, dry_run=True).changes
    with store.transaction() as tx:  # who goes on nevertheless has not got half of it
        for call in calls(lambda: tx.undo(changed), lambda: tx.restore(1)):
            with pytest.raises(LockHeld):
                call()
    assert store.states.get("a", "local", "free") == 2
    store.locks.release(lock)
    for call in refused:
        call()


def test_a_lock_of_another_branch_does_not_matter(store: Any) -> None:
    store.branches.create("lab")
    lab = store.branch("lab")
    mine, labs = store.locks.acquire("a", "k"), lab.locks.acquire("a", "k")
    assert ([each.fence for each in lab.locks.list()], lab.locks.list()[0].branch) == ([labs.fence], "lab")
    assert [each.fence for each in lab.feed.locks()] == [labs.fence]
    with pytest.raises(Fenced):
        store.states.set("a", "local", "k", 1, fence=labs.fence)
    assert labs.states.set("a", "local", "k", 1).version == 1
    store.locks.release(mine)
    assert store.states.set("a", "local", "k", 1).version == 1
    with pytest.raises(LockHeld):
        lab.states.set("a", "local", "k", 2)


def test_expiry_and_the_end_of_a_session_do_not_obey(store: Any, clock: Clock) -> None:
    session = store.agent("a").session("c7", ttl=60)
    session.set("k", 1)
    store.states.set("a", "local", "brief", 1, ttl=5)
    store.locks.acquire("a", "c7/k")
    store.locks.acquire("a", "brief")
    clock.advance(5)
    assert store.retention.sweep() == 1
    assert session.close()
    assert session.get("k") is None


def test_a_past_view_locks_nothing(store: Any) -> None:
    store.states.set("a", "local", "k", 1)
    past = store.at(1)
    with pytest.raises(ReadOnly):
        past.locks.acquire("a", "k")
    with pytest.raises(InvalidValue, match=r"feed\.locks"):
        past.locks.list()


def test_locks_are_not_carried_and_revisions_stay_what_they_are(open_store: Opener, clock: Clock) -> None:
    store, other = open_store(), open_store(APART)
    lock = store.locks.acquire("a", "k")
    lock.states.set("a", "local", "k", 1)
    with store.transaction() as tx:
        tx.states.set("a", "local", "free", 1)
        tx.locks.release(lock)
    store.locks.acquire("a", "k")
    records = list(pages(store))
    assert other.transfer.load(records) == 4
    assert list(pages(other)) == records
    assert (other.locks.list(), other.feed.locks()) == ([], [])
    assert other.states.set("a", "local", "k", 2).version == 2


def test_an_import_obeys_locks_as_they_are_now(store: Any, clock: Clock) -> None:
    seconds = clock()
    lock = store.locks.acquire("a", "k", ttl=10)
    with pytest.raises(LockHeld):
        store.transfer.load_versions("a", "local", "k", [(seconds - 100, 1), (seconds - 50, 2)])
    with pytest.raises(LockHeld):
        store.transfer.load_versions("a", "local", "k", [(seconds + 11, 1)])
    assert store.states.get("a", "local", "k") is None
    clock.advance(10)  # what was written meanwhile was written while the lock stood, but it is imported now
    assert store.transfer.load_versions("a", "local", "k", [(seconds + 5, 1)]) == 1
    assert not store.locks.release(lock)
