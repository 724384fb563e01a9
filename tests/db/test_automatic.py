"""Automatic checkpoints: what makes one, exactly once, however many processes write; and what they cost nobody else."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import AutoCheckpoint, InvalidKey, InvalidValue, ReadOnly, Store, Trigger
from statedb.db import automatic
from tests.conftest import Opener
from tests.helpers import HANG, Clock
from tests.places import Places, only_sqlite
from tests.rigs.processes import FORKED

SORTS = ("file", "postgres", "async postgres")
K = ("a", "local", "k")


@pytest.fixture(autouse=True)
def _no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the clock moves when told, and the test makes what falls due; `tests/test_alarm.py` is about the other."""
    monkeypatch.setattr(automatic, "remind", lambda tx: None)


def policy(*triggers: Any, **told: Any) -> AutoCheckpoint:
    return AutoCheckpoint(triggers=[Trigger(*each) if isinstance(each, tuple) else each for each in triggers], **told)


def points(store: Any, agent_id: str = "a") -> list[int]:
    """Return the revisions of an agent's automatic checkpoints, oldest first."""
    return [each.revision for each in store.checkpoints.list(agent_id, type="automatic")][::-1]


def write(store: Any, times: int, agent_id: str = "a", start: int = 0) -> None:
    for number in range(start, start + times):
        store.states.set(agent_id, "local", "k", number)


# ---- policies


def test_a_policy_is_kept_and_seen_by_every_store(open_store: Opener) -> None:
    one, other = open_store(), open_store(shell="async")
    told = policy(
        ("state_change_count", 7),
        ("time_interval", {"minutes": 2.5, "state_type": "local"}),
        ("conversation_end", {"pattern": "plan/*"}),
        ("manual",),
        interval_minutes=5,
        max_checkpoints=3,
    )
    assert one.checkpoints.configuration("a") is None
    one.checkpoints.configure("a", told, message="why")
    assert other.checkpoints.configuration("a") == told == one.checkpoints.configuration("a")
    assert one.checkpoints.configuration("b") is None
    commit = one.history.commit(1)
    assert (commit.kind, commit.message) == ("checkpoint", "why")
    other.checkpoints.configure("a", told)
    assert one.transfer.head() == 1, "the same policy again is no change"
    with other.transaction() as tx:
        tx.checkpoints.configure("a", policy())
        tx.checkpoints.configure("a", None)
        tx.checkpoints.configure("b", policy())
        tx.checkpoints.configure("b", told)
        assert tx.checkpoints.configuration("a") is None
    assert one.checkpoints.configuration("a") is None
    assert one.checkpoints.configuration("b") == told
    assert pickle.loads(pickle.dumps(told)) == told


@pytest.mark.parametrize(
    "make",
    [
        lambda: Trigger("weekly"),
        lambda: Trigger("state_change_count", 0),
        lambda: Trigger("state_change_count", 1.5),
        lambda: Trigger("state_change_count", True),
        lambda: Trigger("state_change_count", {"minutes": 3}),
        lambda: Trigger("time_interval", 0),
        lambda: Trigger("time_interval", float("nan")),
        lambda: Trigger("time_interval", {"state_type": "nope"}),
        lambda: Trigger("conversation_end", 3),
        lambda: Trigger("manual", "lambda: 1"),  # type: ignore[arg-type]
        lambda: Trigger("manual", {"pattern": ""}),
        lambda: Trigger("manual", {"pattern": "a*b"}),
        lambda: Trigger("manual", {"pattern": 5}),
        lambda: AutoCheckpoint(enabled=1),  # type: ignore[arg-type]
        lambda: AutoCheckpoint(interval_minutes=-1),
        lambda: AutoCheckpoint(interval_minutes="5"),  # type: ignore[arg-type]
        lambda: AutoCheckpoint(max_checkpoints=0),
        lambda: AutoCheckpoint(triggers=["manual"]),  # type: ignore[list-item]
        lambda: AutoCheckpoint(triggers="manual"),  # type: ignore[arg-type]
        lambda: AutoCheckpoint(triggers=None),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_policy_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidValue):
        make()


def test_what_cannot_be_asked_for_is_refused(store: Store) -> None:
    wrongs: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (store.checkpoints.configure, ("", policy())),
        (store.checkpoints.configure, ("a", {"enabled": True})),
        (store.checkpoints.configuration, (None,)),
        (store.checkpoints.signal, ("a", "time_interval")),
        (store.checkpoints.signal, ("", "manual")),
    ]
    for call, given_ in wrongs:
        with pytest.raises((InvalidKey, InvalidValue)):
            call(*given_)
    store.states.set(*K, 1)
    with pytest.raises(ReadOnly):
        store.at(1).checkpoints.configure("a", None)


# ---- counts


def test_so_many_changes_make_one(store: Store) -> None:
    store.states.set(*K, "before")
    store.checkpoints.configure("a", policy(("state_change_count", 3)))  # 2
    write(store, 2)
    assert points(store) == []
    write(store, 5, start=2)
    assert points(store) == [5, 8]
    write(store, 9, agent_id="b")
    store.states.touch(*K)
    store.states.set(*K, 6)
    assert points(store) == [5, 8], "others' changes, touches and the same value again do not count"
    with store.transaction() as tx:
        for number in range(9):
            tx.states.set("a", "local", f"k{number}", 1)
    [made] = store.checkpoints.list("a", limit=1)
    assert (made.revision, made.metadata) == (store.transfer.head(), {"trigger": "state_change_count"})
    assert store.history.commit(made.revision).kind == "write", "it is made by the very commit that makes it due"
    assert len(points(store)) == 3


def test_another_policy_begins_to_count_anew(store: Store) -> None:
    store.checkpoints.configure("a", policy(("state_change_count", 2)))
    write(store, 3)
    assert points(store) == [3]
    store.checkpoints.configure("a", policy(("state_change_count", 3)))
    write(store, 2, start=3)
    assert points(store) == [3]
    write(store, 1, start=5)
    assert points(store) == [3, 8]


def test_only_changes_that_fulfil_the_condition_count(store: Store) -> None:
    narrow = Trigger("state_change_count", {"count": 2, "state_type": "local", "pattern": "plan/*"})
    store.checkpoints.configure("a", policy(narrow))
    for at in (("local", "notes"), ("local", "plan"), ("shared", "plan/1"), ("local", "plan/1"), ("local", "plan0")):
        store.states.set("a", *at, 1)
    assert points(store) == []
    store.states.set("a", "local", "plan/2", 1)
    assert points(store) == [7]


def test_a_policy_that_is_off_or_over_makes_none(store: Store) -> None:
    every = ("state_change_count", 1)
    store.checkpoints.configure("a", policy(every, enabled=False))
    write(store, 2)
    store.checkpoints.configure("a", policy(every))
    write(store, 1, start=2)
    store.checkpoints.configure("a", None)
    write(store, 2, start=3)
    assert points(store) == [5]
    store.checkpoints.configure("a", policy(every))
    write(store, 1, start=5)
    assert points(store) == [5, 10]


def test_a_write_that_is_taken_back_makes_none(store: Store) -> None:
    store.checkpoints.configure("a", policy(("state_change_count", 2)))
    write(store, 1)

    def fail(tx: Any) -> None:
        tx.states.set(*K, "never")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.run(fail)
    assert points(store) == []
    write(store, 1, start=1)
    assert points(store) == [3]


def test_a_restore_counts_as_what_it_changes(store: Store) -> None:
    write(store, 1)
    write(store, 1, start=1)
    store.checkpoints.configure("a", policy(("state_change_count", 1)))
    assert store.restore(1).revision == 4
    assert points(store) == [4]


# ---- time


def test_one_is_made_for_the_instant_at_which_it_fell_due(store: Store, clock: Clock) -> None:
    write(store, 1)
    store.checkpoints.configure("a", policy(("time_interval",), interval_minutes=10))  # 2
    start = clock.moment
    clock.advance(60)
    write(store, 2, start=1)
    clock.advance(3600)
    assert store.checkpoints.list("a") == []
    write(store, 1, start=3)
    [made] = store.checkpoints.list("a")
    assert (made.revision, made.at) == (4, start + timedelta(minutes=10))
    assert (made.created_revision, made.metadata) == (5, {"trigger": "time_interval"})
    assert made.name == f"auto-{made.at.isoformat().replace('+00:00', 'Z')}"
    assert store.at(made.name).states.get(*K) == 2
    clock.advance(600)
    write(store, 1, start=4)
    assert [each.at for each in store.checkpoints.list("a")] == [start + timedelta(minutes=70), made.at]


def test_where_nothing_has_changed_none_is_made(store: Store, clock: Clock) -> None:
    store.checkpoints.configure("a", policy(("time_interval", 10)))
    clock.advance(6000)
    store.states.set("b", "local", "k", 1)
    assert (store.checkpoints.run_due(), points(store)) == ([], [])
    write(store, 1)
    clock.advance(6000)
    [made] = store.checkpoints.run_due()
    assert (made.revision, store.checkpoints.run_due()) == (3, [])
    assert store.checkpoints.get(made.name, agent_id="a") == made
    head = store.transfer.head()
    clock.advance(6000)
    assert (store.checkpoints.run_due(), store.transfer.head()) == ([], head)


def test_of_changes_that_do_not_count_none_is_made(store: Store, clock: Clock) -> None:
    store.checkpoints.configure("a", policy(("time_interval", {"minutes": 1, "pattern": "plan/*"})))
    write(store, 3)
    clock.advance(600)
    assert store.checkpoints.run_due() == []
    store.states.set("a", "local", "plan/x", 1)
    clock.advance(600)
    assert len(store.checkpoints.run_due()) == 1


def test_a_checkpoint_for_another_reason_starts_the_interval_anew(store: Store, clock: Clock) -> None:
    store.checkpoints.configure("a", policy(("time_interval", 10), ("manual",)))
    write(store, 1)
    clock.advance(540)
    assert store.checkpoints.signal("a", "manual") is not None
    write(store, 1, start=1)
    clock.advance(120)
    assert store.checkpoints.run_due() == []
    clock.advance(480)
    assert len(store.checkpoints.run_due()) == 1


# ---- signals


def test_a_signal_makes_one_where_the_policy_has_a_trigger_for_it(store: Store) -> None:
    assert store.checkpoints.signal("a", "manual") is None
    store.checkpoints.configure("a", policy(("conversation_end", {"state_type": "local"}), ("manual",)))
    assert store.checkpoints.signal("a", "conversation_end") is None, "nothing that counts has changed"
    store.states.set("a", "shared", "k", 1)
    assert store.checkpoints.signal("a", "conversation_end") is None
    write(store, 1)
    made = store.checkpoints.signal("a", "conversation_end")
    assert made is not None
    assert (made.revision, made.metadata, made.type.value) == (4, {"trigger": "conversation_end"}, "automatic")
    again = store.checkpoints.signal("a", "manual")
    assert again is not None
    assert again.name != made.name, "two of one instant have names of their own"
    assert store.checkpoints.signal("b", "manual") is None
    with store.transaction() as tx:
        tx.states.set(*K, "in")
        mine = tx.checkpoints.signal("a", "conversation_end")
        assert mine is not None
    assert store.at(mine.revision).states.get(*K) == "in"


# ---- rotation


def test_the_oldest_automatic_ones_make_room(store: Store) -> None:
    store.checkpoints.create("auto-mine", agent_id="a")
    store.checkpoints.create("kept", agent_id="a", type="backup")
    store.checkpoints.configure("a", policy(("state_change_count", 1), max_checkpoints=3))
    store.checkpoints.configure("b", policy(("state_change_count", 1), max_checkpoints=1))
    write(store, 9)
    write(store, 2, agent_id="b")
    assert points(store) == [11, 12, 13]
    assert points(store, "b") == [15]
    assert [each.name for each in store.checkpoints.list("a")][-2:] == ["kept", "auto-mine"]
    assert len(store.at(7).checkpoints.list("a", type="automatic")) == 3, "the past has those there were"
    store.checkpoints.configure("a", policy(("state_change_count", 1), max_checkpoints=1))
    assert points(store) == [13], "a policy that keeps fewer ends the others at once"


# ---- beside a model

steps = st.lists(
    st.tuples(st.sampled_from(("a", "a", "b")), st.integers(0, 3), st.sampled_from((0, 1, 30, 61, 200))),
    min_size=1, max_size=25,
)  # fmt: skip


def test_what_is_made_is_what_a_plain_reading_of_the_rules_makes(places: Places) -> None:
    @settings(max_examples=places.examples(30))
    @given(steps, st.integers(1, 4), st.integers(1, 3))
    def holds(done: list[tuple[str, int, int]], count: int, keep: int) -> None:
        clock = Clock()
        with places.briefly() as where, Store(where, clock=clock, durability="normal") as store:
            store.checkpoints.configure(
                "a", policy(("state_change_count", count), ("time_interval", 1), max_checkpoints=keep)
            )
            base, made, times = (1, clock.micros), [], [clock.micros]
            changes: list[tuple[int, int]] = []  # revision and time of each since the last checkpoint
            for number, (agent, many, wait) in enumerate(done):
                clock.advance(wait)
                with store.transaction() as tx:
                    for key in range(many):
                        tx.states.set(agent, "local", f"k{key}", number)
                if many:
                    times.append(clock.micros)
                if agent != "a" or not many:
                    continue
                if changes:
                    minute = 60_000_000
                    due = base[1] + max(1, -(-(changes[0][1] - base[1]) // minute)) * minute
                    if due <= clock.micros:
                        at = sum(each <= due for each in times[:-1])
                        base = (at, due)
                        made.append(base)
                        changes = [each for each in changes if each[0] > at]
                changes += [(tx.revision or 0, clock.micros)] * many
                if len(changes) >= count:
                    base = (tx.revision or 0, clock.micros)
                    made.append(base)
                    changes = []
            found = [(each.revision, round(each.at.timestamp() * 1_000_000)) for each in store.checkpoints.list("a")]
            assert found == made[::-1][:keep]
            assert store.health.check().problems == ()

    holds()


# ---- many at once


def member(where: str, times: int, name: str) -> int:
    """Write as one of several processes, and return how many automatic checkpoints these writes made."""
    with Store(where, durability="normal", busy_timeout=HANG) as store:
        for _ in range(times):
            store.states.update(*K, lambda value: value + 1, default=0)
        return len(store.checkpoints.list("a"))


def test_of_many_processes_exactly_one_makes_each(open_store: Opener, where: str) -> None:
    store = open_store(durability="normal")
    store.checkpoints.configure("a", policy(("state_change_count", 10), max_checkpoints=100))
    crew, times = 4, 25
    with FORKED.Pool(crew) as pool:
        pool.starmap(member, [(where, times, str(each)) for each in range(crew)])
    total = crew * times
    made = store.checkpoints.list("a")[::-1]
    assert store.states.get(*K) == total
    gaps = [b - a for a, b in zip([1, *points(store)], points(store), strict=False)]
    # On a server two may write at once that both see the ninth: the next makes it then.
    assert len(made) in range(total // 11, total // 10 + 1)
    assert all(10 <= gap <= 13 for gap in gaps), gaps
    if not where.startswith("postgresql"):
        assert gaps == [10] * 10


def ask(where: str, micros: int) -> int:
    clock = Clock()
    clock.micros = micros
    with Store(where, clock=clock, durability="normal", busy_timeout=HANG) as store:
        return sum(len(store.checkpoints.run_due()) for _ in range(3))


def test_of_many_processes_exactly_one_makes_what_fell_due(open_store: Opener, where: str, clock: Clock) -> None:
    store = open_store(durability="normal")
    for agent in "abc":
        store.checkpoints.configure(agent, policy(("time_interval", 1)))
        write(store, 1, agent_id=agent)
    clock.advance(600)
    with FORKED.Pool(4) as pool:
        found = pool.starmap(ask, [(where, clock.micros)] * 4)
    assert sum(found) == 3
    assert [len(points(store, agent)) for agent in "abc"] == [1, 1, 1]


def test_writes_that_share_a_transaction_make_as_many(open_store: Opener) -> None:
    import asyncio

    store = open_store(shell="async")
    store.checkpoints.configure("a", policy(("state_change_count", 5), max_checkpoints=100))

    async def crowd() -> None:
        inner = store._target
        await asyncio.gather(
            *(inner.states.set("a", "local", f"k{number}", number) for number in range(40)),
            *(inner.states.set("b", "local", f"k{number}", number) for number in range(40)),
        )

    store._wait(crowd())
    assert len(points(store)) in (7, 8)
    assert len(store.states.keys("a", "local")) == 40


@only_sqlite
def test_a_policy_holds_for_what_follows_it_in_its_transaction(open_store: Opener) -> None:
    import asyncio

    store = open_store(shell="async")

    async def both() -> None:
        inner = store._target
        configuring = inner.checkpoints.configure("a", policy(("state_change_count", 1)))
        await asyncio.gather(configuring, inner.states.set(*K, 1))
        await inner.states.set(*K, 2)

    store._wait(both())
    first, second = (each.revision for each in store.history.versions(*K)[::-1])
    configured = next(each.revision for each in store.history.commits() if each.kind == "checkpoint")
    assert points(store) == [each for each in (first, second) if each > configured]


def test_threads_of_one_store_make_as_many(open_store: Opener) -> None:
    store = open_store()
    store.checkpoints.configure("a", policy(("state_change_count", 10), max_checkpoints=100))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: store.states.set("a", "local", f"k{number}", number), range(40)))
    assert len(points(store)) in (3, 4)


# ---- what it costs nobody else


def test_a_change_is_looked_at_once(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    look = automatic._look

    def counting(*args: Any) -> Any:
        row = look(*args)
        looked.append(row[0])
        return row

    monkeypatch.setattr(automatic, "_look", counting)
    store = open_store()
    write(store, 5)
    assert looked == [], "a store without policies pays nothing"
    store.checkpoints.configure("b", policy(("state_change_count", 50)))
    write(store, 5)
    assert looked == [], "nor does an agent without one"
    write(store, 49, agent_id="b")
    assert sum(looked) == 48
    assert max(looked) == 1


def test_what_was_counted_of_a_log_that_is_another_now_is_counted_anew(open_store: Opener) -> None:
    store = open_store()
    store.checkpoints.configure("a", policy(("state_change_count", 4)))
    write(store, 2)
    [(key, tally)] = store._context.schedule.tallies.items()
    store._context.schedule.tallies[key] = tally._replace(number=3, hash=b"?" * 16)
    write(store, 1, start=2)
    assert points(store) == []
    write(store, 1, start=3)
    assert points(store) == [5]
