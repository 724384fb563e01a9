"""Isolation: the anomalies of Martin Kleppmann's Hermitage, and whatever else several transactions could do together.

Each scenario's steps are taken in its order, by threads and by tasks, in blocks and in functions given to `run`. The
store lets nothing come of it but what comes of the transactions one after another, in the order of their revisions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import StateDBError, Store, TransactionAborted
from tests.helpers import HANG, SHELLS
from tests.interleave import Order, Session, Values, assert_serial, parse, play_tasks, play_threads, sessions_of
from tests.places import is_url

WAYS = ["block", "block, a store each", "run", "async block", "async run"]
FULL = {"x": 10, "y": 20}


class Stage:
    """A store, and a way to hold transactions on it."""

    def __init__(self, where: str, way: str, *, one_at_a_time: bool) -> None:
        self.where, self.one_at_a_time = where, one_at_a_time
        self._how, self._tasks = way.removeprefix("async ").partition(",")[0], way.startswith("async")
        self._stores = [Store(where, durability="normal") for _ in range(3 if "each" in way else 1)]
        self._agents = map("a{}".format, itertools.count())

    def close(self) -> None:
        for store in self._stores:
            assert store.health.check().problems == ()
            store.close()

    @property
    def interleaves(self) -> bool:
        """Whether transactions run side by side in the order of the scenario, each once."""
        return self._how == "block" and not self.one_at_a_time

    def play(self, text: str, initial: Values = FULL) -> Played:
        """Play a scenario over states of its own; what comes of it is one of some serial order."""
        order, agent, store = parse(text), next(self._agents), self._stores[0]
        store.states.set_many(agent, "shared", initial)
        if self._tasks:
            play_tasks(self.where, self._how, order, agent, one_at_a_time=self.one_at_a_time, durability="normal")
        else:
            play_threads(self._stores, self._how, order, agent, one_at_a_time=self.one_at_a_time)
        assert_serial(store, order, agent, initial)
        played = Played(order, dict(store.agent(agent).shared.items()))
        if not self.interleaves:
            assert not played.aborted, "nobody is sent away who waits for his turn, or tries again"
        return played


class Played:
    """What came of a scenario."""

    def __init__(self, order: Order, left: Values) -> None:
        self.sessions = {session.name: session for session in sessions_of(order)}
        self.left = left

    def __getitem__(self, name: str) -> Session:
        return self.sessions[name]

    @property
    def seen(self) -> list[Any]:
        return [sight for session in self.sessions.values() for sight in session.seen]

    @property
    def aborted(self) -> list[str]:
        return [name for name, session in self.sessions.items() if session.end == "aborted"]


@pytest.fixture(params=WAYS)
def stage(request: pytest.FixtureRequest, where: str) -> Iterator[Stage]:
    made = Stage(where, request.param, one_at_a_time=not is_url(where))
    yield made
    made.close()


# ---- Hermitage


def test_g0_writes_of_two_do_not_mix(stage: Stage) -> None:
    played = stage.play("""
        1: set x 11
        2: set x 12
        1: set y 21
        1: commit
        2: set y 22
    """)
    assert played.left in ({"x": 11, "y": 21}, {"x": 12, "y": 22})


def test_g1a_what_is_rolled_back_was_never_seen(stage: Stage) -> None:
    played = stage.play("""
        1: set x 101
        2: see
        1: abort
        2: see
    """)
    assert played["2"].seen == [FULL, FULL]
    assert played.left == FULL


def test_g1b_what_is_written_on_the_way_is_never_seen(stage: Stage) -> None:
    played = stage.play("""
        1: set x 101
        2: see
        1: set x 11
        1: commit
        2: see
    """)
    assert {"x": 101, "y": 20} not in played["2"].seen
    assert played.left == {"x": 11, "y": 20}


def test_g1c_no_two_see_each_other(stage: Stage) -> None:
    played = stage.play("""
        1: set x 11
        2: set y 22
        1: get y
        2: get x
    """)
    assert [played["1"].seen[-1], played["2"].seen[-1]] != [22, 11]
    if stage.interleaves:  # each has seen what was before the other
        assert len(played.aborted) == 1


def test_otv_a_transaction_once_seen_does_not_vanish(stage: Stage) -> None:
    played = stage.play("""
        1: set x 11
        1: set y 19
        2: set x 12
        1: commit
        3: get x
        2: set y 18
        3: get y
        2: commit
        3: get y
        3: get x
    """)
    assert tuple(played["3"].seen) in {(10, 20, 20, 10), (11, 19, 19, 11), (12, 18, 18, 12)}


def test_pmp_a_predicate_holds_for_the_same_ones_throughout(stage: Stage) -> None:
    played = stage.play("""
        1: find 3
        2: set z 30
        2: commit
        1: find 3
    """)
    first, second = played["1"].seen
    assert first == second
    assert played.aborted == []


def test_pmp_for_writes_what_a_predicate_finds_is_what_is_deleted(stage: Stage) -> None:
    played = stage.play("""
        1: add_all 10
        2: see
        2: delete_where 20
        1: commit
        2: see
    """)
    assert played.left in ({"y": 30}, {"x": 20, "y": 30})
    if stage.interleaves:  # it found y, which is 30 by now; what is 20 now it did not find
        assert played.aborted == ["2"]


def test_p4_no_update_is_lost(stage: Stage) -> None:
    played = stage.play("""
        1: get x
        2: get x
        1: set x 11
        2: set x 12
        1: commit
    """)
    if stage.interleaves:
        assert played.aborted == ["2"]
        assert played.left["x"] == 11


def test_p4_no_increment_is_lost(stage: Stage) -> None:
    for step in ("add", "update"):
        played = stage.play(f"1: {step} x 1 \n 2: {step} x 2")
        assert played.left["x"] == 13 if not played.aborted else played.left["x"] in (11, 12)
        assert bool(played.aborted) is stage.interleaves


def test_g_single_what_is_read_is_of_one_moment(stage: Stage) -> None:
    played = stage.play("""
        1: get x
        2: see
        2: set x 12
        2: set y 18
        2: commit
        1: get y
    """)
    assert tuple(played["1"].seen) in {(10, 20), (12, 18)}
    assert played.aborted == []


def test_g_single_what_a_predicate_reads_is_of_one_moment(stage: Stage) -> None:
    played = stage.play("""
        1: find 5
        2: update x 2
        2: commit
        1: find 3
    """)
    assert tuple(map(tuple, played["1"].seen)) in {(("x", "y"), ()), (("y",), ("x",))}


def test_g_single_what_is_written_follows_from_what_was_read(stage: Stage) -> None:
    played = stage.play("""
        1: get x
        2: see
        2: set x 12
        2: set y 18
        2: commit
        1: delete_where 20
        1: get y
    """)
    if stage.interleaves:
        assert played.aborted == ["1"]
        assert played.left == {"x": 12, "y": 18}


def test_g_single_interleaved_what_is_written_follows_from_what_was_read(stage: Stage) -> None:
    played = stage.play("""
        1: get x
        2: see
        2: set x 12
        1: delete_where 20
        2: set y 18
        1: commit
    """)
    assert played.left in ({"x": 10}, {"x": 12, "y": 18})
    if stage.interleaves:
        assert played.aborted == ["2"]


def test_g2_item_of_two_that_rely_on_what_the_other_writes_one_is_first(stage: Stage) -> None:
    played = stage.play("""
        1: get x
        1: get y
        2: get x
        2: get y
        1: set x 11
        2: set y 21
        1: commit
    """)
    if stage.interleaves:
        assert played.aborted == ["2"]


def test_g2_of_two_that_rely_on_what_the_other_adds_one_is_first(stage: Stage) -> None:
    played = stage.play("""
        1: find 3
        2: find 3
        1: set p 30
        2: set q 42
        1: commit
    """)
    if stage.interleaves:
        assert played.aborted == ["2"]


def test_g2_an_absence_is_relied_on_as_a_value_is(stage: Stage) -> None:
    for look in ("get {}", "exists {}", "keys {}*", "see {}*"):
        played = stage.play(f"""
            1: {look.format("p")}
            2: {look.format("q")}
            1: set q 1
            2: set p 2
            1: commit
        """)
        assert len(played.aborted) == stage.interleaves, look


def test_g2_two_edges_one_who_only_reads_shows_that_the_others_are_in_no_order(stage: Stage) -> None:
    # Fekete's: without the third, the first could come before the second; but the third saw the second alone.
    played = stage.play("""
        1: see
        2: add y 5
        2: commit
        3: see
        3: commit
        1: set x 0
    """)
    if stage.interleaves:
        assert played["3"].seen == [{"x": 10, "y": 25}]
        assert played.aborted == ["1"]


# ---- beyond the list


def test_who_writes_elsewhere_is_in_nobodys_way(stage: Stage) -> None:
    played = stage.play("""
        1: add x 1
        2: add y 1
        1: see x*
        2: keys y*
        1: commit
    """)
    assert played.aborted == []
    assert played.left == {"x": 11, "y": 21}


def test_a_block_that_was_aborted_goes_through_when_it_is_tried_again(stage: Stage) -> None:
    first = stage.play("1: add x 1 \n 2: add x 2")
    again = stage.play("\n".join(f"{name}: add x {name}" for name in first.aborted or ["2"]), first.left)
    assert again.aborted == []


def test_one_who_only_reads_is_never_aborted(stage: Stage) -> None:
    played = stage.play("""
        1: see
        2: set x 1
        2: commit
        3: set z 2
        3: commit
        1: see
        1: keys
    """)
    assert played.aborted == []


@pytest.mark.parametrize("call", ["run", "update"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_function_that_is_overtaken_whenever_it_can_be_is_called_three_times(
    where: str, shell: str, call: str
) -> None:
    calls: list[Any] = []

    def overtaken(was: Any) -> int:
        calls.append(was)
        rival = other.submit(beside.states.update, "a", "shared", "k", lambda value: value + 1, default=0)
        # The third time the function has the turn to write, as it has on SQLite from the first: the rival waits.
        wait([rival], HANG if is_url(where) and len(calls) < 3 else 0)
        return -1

    def fn(tx: Any) -> None:
        tx.states.set("a", "shared", "out", overtaken(tx.states.get("a", "shared", "k")))

    with closing(SHELLS[shell](where)) as store, Store(where) as beside, ThreadPoolExecutor(1) as other:
        store.run(fn) if call == "run" else store.states.update("a", "shared", "k", overtaken)
    assert calls == ([None, 1, 2] if is_url(where) else [None])


READS: dict[str, Callable[[Any], Any]] = {
    "get": lambda tx: tx.states.get("b", "shared", "x"),
    "get of nothing": lambda tx: tx.states.get("b", "shared", "new"),
    "entry": lambda tx: tx.states.entry("b", "shared", "x"),
    "exists": lambda tx: tx.states.exists("b", "shared", "new"),
    "keys": lambda tx: tx.states.keys("b", "shared", "n*"),
    "keys but one": lambda tx: tx.states.keys("b", "shared", "[!x]*"),
    "items": lambda tx: tx.states.items("b", "shared"),
    "get_many": lambda tx: tx.states.get_many("b", [("shared", "x"), ("shared", "new"), ("local", "x")]),
    "session": lambda tx: tx.agent("b").session("c").get("k"),
    "versions": lambda tx: tx.history.versions("b", "shared", "x"),
    "version": lambda tx: tx.history.get_with_history("b", "shared", "x", 2),
    "diff": lambda tx: tx.history.diff("b", "shared", "x", 1, 1).modified,
    "blame": lambda tx: tx.history.blame("b", "shared", "x"),
    "bisect": lambda tx: tx.history.bisect("b", "shared", "x", lambda value: value > 1),
    "changes": lambda tx: tx.history.changes(1, 2),
    "commits": lambda tx: tx.history.commits(agent_id="b"),
    "feed": lambda tx: tx.feed.changes(since=1),
    "feed of an agent": lambda tx: tx.feed.changes(agent_id="b"),
    "head": lambda tx: tx.transfer.head(),
    "export": lambda tx: tx.transfer.export(limit=50),
    "stats": lambda tx: tx.health.stats().versions,
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda store: store.states.set("b", "shared", "x", 2),
    "create": lambda store: store.states.set("b", "shared", "new", 1),
    "delete": lambda store: store.states.delete("b", "shared", "x"),
    "touch": lambda store: store.states.touch("b", "session", "c/k", ttl=7200),
    "session": lambda store: store.agent("b").session("c").close(),
    "elsewhere": lambda store: store.states.set("c", "shared", "x", 1),
}


@pytest.mark.parametrize("read", READS)
def test_whatever_was_read_is_so_at_the_commit(where: str, read: str) -> None:
    """A transaction reads, another writes, the first goes on: it is aborted, unless it would read the same again."""
    look = READS[read]
    aborted = 0
    with Store(where, durability="normal") as store, ThreadPoolExecutor(1) as other, ThreadPoolExecutor(1) as witness:
        for rival in WRITES.values():
            store.states.set("b", "shared", "x", 1)
            store.states.delete("b", "shared", "new")
            store.agent("b").session("c").set("k", 1)
            try:
                saw, now, writing = read_beside(store, look, rival, other, witness, side_by_side=is_url(where))
            except TransactionAborted:
                aborted += 1
            else:
                assert now == saw
                writing.result(HANG)
        assert (aborted > 0) is is_url(where)
        assert store.health.check().problems == ()


def read_beside(
    store: Store,
    look: Callable[[Any], Any],
    rival: Callable[[Any], Any],
    *others: ThreadPoolExecutor,
    side_by_side: bool,
) -> tuple[str, str, Future[Any]]:
    """Look in a transaction, have another write meanwhile and a third look, and go on to commit."""
    other, witness = others
    with store.transaction() as tx:
        saw = answer(look, tx)
        writing = other.submit(rival, store)
        if side_by_side:
            writing.result(HANG)
        now = witness.submit(answer, look, store).result(HANG)
        tx.states.set("a", "shared", "out", [str(rival)])
    return saw, now, writing


def answer(look: Callable[[Any], Any], rooms: Any) -> Any:
    """Return what a look finds, as text; the type of the error where it finds none."""
    try:
        return repr(look(rooms))
    except StateDBError as error:
        return type(error).__name__


STEP = st.one_of(
    st.builds("{} {}".format, st.sampled_from(["get", "exists", "delete"]), st.sampled_from("xyz")),
    st.builds("{} {}".format, st.sampled_from(["see", "keys"]), st.sampled_from(["*", "x*", "[yz]"])),
    st.builds("set {} {}".format, st.sampled_from("xyz"), st.integers(100, 199)),
    st.builds("update {} {}".format, st.sampled_from("xy"), st.integers(1, 9)),
    st.builds("add_all {}".format, st.integers(1, 9)),
    st.just("find 3"),
    st.just("delete_where 20"),
)
ENDED = st.sampled_from(["commit", "commit", "commit", "abort"])


@st.composite
def scripts(draw: st.DrawFn) -> str:
    """Return two or three transactions of up to four steps, and an order in which they are taken."""
    names = ["1", "2", "3"][: draw(st.integers(2, 3))]
    lines = {name: [*draw(st.lists(STEP, min_size=1, max_size=4)), draw(ENDED)] for name in names}
    turns = draw(st.permutations([name for name in names for _ in lines[name]]))
    return "\n".join(f"{name}: {lines[name].pop(0)}" for name in turns)


def test_what_comes_of_any_transactions_is_what_comes_of_some_order_of_them(stage: Stage) -> None:
    @settings(max_examples=40)
    @given(scripts())
    def holds(text: str) -> None:
        stage.play(text)

    holds()
