"""Level 1: what memory answers, that it is never older than what was committed, and that nobody can spoil it."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import statedb.db.current
import statedb.live.cache
from statedb import Address, AsyncStore, InvalidValue, Store, StoreClosed, VersionConflict
from statedb.db.sqlite.connection import Connection as FileConnection
from statedb.live.cache import WORTH, Cache
from tests.conftest import Opener
from tests.helpers import HANG, SHELLS, Clock, calls, run
from tests.places import Places, is_url, only_sqlite

KEY = ("a", "persistent", "doc")
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["statedb"])


def big(number: int) -> dict[str, Any]:
    """Return a value worth keeping, another for each number."""
    return {"n": number, "rows": [{"i": i, "text": "x" * 40, "tags": ["a", {"b": None}]} for i in range(160)]}


def hits(store: Any) -> tuple[int, int, int]:
    found = store.cache.stats()
    return found.hits, found.conditional_hits, found.misses


# ---- what is answered from memory


def test_a_value_is_read_once_and_then_answered_from_memory(store: Store) -> None:
    store.states.set(*KEY, big(1))
    store.cache.clear()
    assert [store.states.get(*KEY) for _ in range(4)] == [big(1)] * 4
    found, asked, missed = hits(store)
    assert (found, missed) == (3, 1)
    assert asked in (1, 3), "a file and memory are asked once, a server each time"


def test_what_was_written_is_in_memory_already(store: Store) -> None:
    store.states.set(*KEY, big(1))
    assert store.states.get(*KEY) == big(1)
    with store.transaction() as tx:
        tx.states.set(*KEY, big(2))
        assert tx.states.get(*KEY) == big(2)
    assert store.states.get(*KEY) == big(2)
    assert hits(store)[2] == 0


def test_what_was_taken_back_is_not(store: Store) -> None:
    store.states.set(*KEY, big(1))

    def fail(tx: Any) -> None:
        tx.states.set(*KEY, big(2))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.run(fail)
    assert store.states.get(*KEY) == big(1)


def test_a_small_value_is_not_kept(store: Store) -> None:
    store.states.set(*KEY, "x" * (WORTH - 3))
    store.states.get(*KEY)
    assert store.cache.stats().entries == 0
    store.states.set(*KEY, "x" * (WORTH - 2))  # quotes make it WORTH bytes
    assert store.cache.stats().entries == 1


@pytest.mark.parametrize("value", [b"x" * 9_000, b"x" * 50_000, "y" * 9_000, big(1), [big(1)] * 5], ids=type)
def test_every_kind_of_value_comes_back_as_it_was(store: Store, value: Any) -> None:
    store.states.set(*KEY, value)
    for copy in (True, False, True, True, True, False):
        found = store.states.get(*KEY, copy=copy)
        assert found == value
        assert isinstance(found, type(value))
        store.cache.invalidate(key="another")


class Doc(BaseModel):
    n: int
    rows: list[dict[str, Any]]


def test_a_model_is_read_from_memory_too(store: Store) -> None:
    store.states.set(*KEY, Doc(**big(1)))
    for _ in range(5):
        store.states.get(*KEY)
        found = store.states.get(*KEY, as_type=Doc)
        assert found == Doc(**big(1))
        found.n = 5
    with pytest.raises(InvalidValue):
        store.states.get(*KEY, as_type=list[int])
    assert hits(store)[2] == 0


def test_handles_and_sessions_are_answered_from_memory(store: Store) -> None:
    agent = store.agent("a")
    agent.persistent.set("k", big(1))
    chat = agent.session("c")
    chat.set("k", big(2))
    for _ in range(3):
        assert agent.persistent.get("k") == big(1)
        assert chat.get("k", copy=False) == big(2)
    found, _, missed = hits(store)
    assert (found, missed) == (6, 0)


@only_sqlite
def test_without_a_cache_nothing_is_kept(open_store: Opener, where: str) -> None:
    store = open_store(where, cache_bytes=0)
    store.states.set(*KEY, big(1))
    assert store.states.get(*KEY) == big(1)
    assert store.states.get(*KEY, copy=False) == big(1)
    assert (store.cache.warm("a"), store.cache.clear(), store.cache.invalidate("a")) == (0, 0, 0)
    assert (store.cache.stats().policy, store.cache.stats().limit) == ("off", 0)
    assert store.health.stats().cache == store.cache.stats()


@only_sqlite
def test_an_unchanged_file_is_asked_for_nothing_but_its_stamp(
    open_store: Opener, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(where)
    store.states.set(*KEY, big(1))
    store.states.get(*KEY)

    def refuse(*_: object) -> None:
        raise AssertionError("a statement was run")

    monkeypatch.setattr(FileConnection, "one", refuse)
    assert store.states.get(*KEY) == big(1)


@only_sqlite
def test_on_a_loop_memory_answers_without_the_connections_thread(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            await store.states.set(*KEY, big(1))
            await store.states.get(*KEY)
            getting = store.states.get(*KEY)
            with pytest.raises(StopIteration) as answered:
                getting.send(None)  # it ends without ever having waited
            assert answered.value.value == big(1)

    run(main())


# ---- coherence


@pytest.mark.parametrize("moment", ["before", "after"])
@only_sqlite
def test_a_commit_beside_the_statement_is_seen_by_the_next_read(
    open_store: Opener, where: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The stamp is taken before the statement. Taken after it, it would be that of a commit nobody has read."""
    mine, other = open_store(where), open_store(where)
    mine.states.set(*KEY, big(1))
    mine.states.get(*KEY)
    pending = [2]
    inner = FileConnection.one

    def commit() -> None:
        if pending:
            other.states.set(*KEY, big(pending.pop()))

    def one(self: FileConnection, statement: Any, parameters: Any) -> Any:
        if moment == "before":
            commit()
        row = inner(self, statement, parameters)
        commit()
        return row

    other.states.set("a", "local", "anything", 1)  # the stamp stands no more: the next read asks the database
    monkeypatch.setattr(FileConnection, "one", one)
    first = mine.states.get(*KEY)["n"]
    monkeypatch.undo()
    assert first == (2 if moment == "before" else 1)
    assert [mine.states.get(*KEY)["n"] for _ in range(3)] == [2, 2, 2]


def write_numbers(where: str, acknowledged: Any, stop: Any) -> None:
    with Store(where, durability="normal") as store:
        number = 0
        while not stop.is_set():
            number += 1
            store.states.set(*KEY, big(number))
            acknowledged.value = number


def read_numbers(get: Callable[[], Any], acknowledged: Any, until: int) -> None:
    """Read until so many numbers were written, and hold every read against what was acknowledged before it began."""
    newest = 0
    while newest < until:
        least = max(newest, acknowledged.value)
        value = get()
        if value is None:
            assert least == 0
            continue
        assert value["n"] >= least, "a read is older than what was committed when it began"
        assert len(value["rows"]) == 160
        newest = value["n"]


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_read_is_never_older_than_what_another_process_had_committed(
    open_store: Opener, where: str, shell: str
) -> None:
    store = open_store(where, shell=shell)
    acknowledged, stop = FORKED.Value("q", 0), FORKED.Event()
    writer = FORKED.Process(target=write_numbers, args=(where, acknowledged, stop))
    writer.start()
    try:
        read_numbers(lambda: store.states.get(*KEY, copy=False), acknowledged, 20 if is_url(where) else 300)
    finally:
        stop.set()
        writer.join(HANG)
    assert writer.exitcode == 0
    for _ in range(3):
        assert store.states.get(*KEY)["n"] == acknowledged.value


def test_a_read_is_never_older_than_what_another_thread_had_committed(filed: Store, where: str) -> None:
    class Number:
        value = 0

    acknowledged, stop, until = Number(), threading.Event(), 30 if is_url(where) else 300
    failed: list[BaseException] = []

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            filed.states.set(*KEY, big(number))
            acknowledged.value = number

    def read() -> None:
        try:
            read_numbers(lambda: filed.states.get(*KEY), acknowledged, until)
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in (writer, *readers):
        thread.start()
    for reader in readers:
        reader.join(HANG)
    stop.set()
    writer.join(HANG)
    assert failed == []


def test_tasks_read_what_tasks_have_written(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:

            async def work(name: str) -> None:
                for number in range(20):
                    await store.states.set("a", "local", name, big(number))
                    assert await store.states.get("a", "local", name) == big(number)

            await asyncio.gather(*(work(f"k{each}") for each in range(8)))

    run(main())


Step = tuple[str, str, Any]
NAMES = ["local/k", "persistent/k", "session/c/1", "session/c/2", "session/d"]
DEEDS = ["delete", "touch", "open", "close", "sweep", "undo"]
STEP = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(NAMES), st.integers(0, 2)),
    st.tuples(st.just("ttl"), st.sampled_from(NAMES), st.sampled_from([1, 10])),
    st.tuples(st.sampled_from(DEEDS), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("wait"), st.just("local/k"), st.sampled_from([1, 5, 10])),
)


def take_step(store: Any, clock: Clock, step: Step) -> None:
    what, name, value = step
    tier, _, key = name.partition("/")
    at = ("a", tier, key)
    if what == "set":
        store.states.set(*at, [value])
    elif what == "ttl":
        store.states.set(*at, ["brief"], ttl=value)
    elif what == "delete":
        store.states.delete(*at)
    elif what == "touch":
        store.states.touch(*at, ttl=7)
    elif what == "open":
        store.agent("a").session("c", ttl=5).set("1", ["opened"])
    elif what == "close":
        store.agent("a").session("c").close()
    elif what == "sweep":
        store.retention.sweep()
    elif what == "undo" and store.transfer.head():
        with suppress(VersionConflict, InvalidValue):  # it has been overwritten, or was a touch
            store.undo(revision=store.transfer.head())
    elif what == "wait":
        clock.advance(value)


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_two_caches_show_what_the_database_shows(
    places: Places, clock: Clock, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    for module in (statedb.live.cache, statedb.db.current):  # so that small values are kept too, and examples quick
        monkeypatch.setattr(module, "WORTH", 0)
    place = places.another()
    with ExitStack() as ending:
        made = [SHELLS[each](place, clock=clock, durability="normal") for each in ("sync", shell)]
        for each in made:
            ending.callback(each.close)

        @settings(max_examples=places.examples(40))
        @given(steps=st.lists(st.tuples(st.sampled_from([0, 1]), STEP), max_size=20))
        def holds(steps: list[tuple[int, Step]]) -> None:
            for which, step in steps:
                take_step(made[which], clock, step)
                for name in NAMES:
                    at = ("a", *name.split("/", 1))
                    entry = made[0].states.entry(*at)  # which is never answered from memory
                    for store in made:
                        assert store.states.get(*at, "none") == (entry.value if entry else "none"), (step, name)

        holds()


@only_sqlite
def test_a_store_opened_again_does_not_believe_the_stamps_of_before(where: str, clock: Clock) -> None:
    async def main() -> None:
        store = AsyncStore(where, clock=clock)
        async with store:
            await store.states.set(*KEY, big(1))
            assert (await store.states.get(*KEY))["n"] == 1
        with Store(where, clock=clock) as other:
            other.states.set(*KEY, big(2))
        async with store:
            assert (await store.states.get(*KEY))["n"] == 2

    run(main())


def test_what_expires_is_gone_though_nobody_writes(store: Store, clock: Clock) -> None:
    store.states.set(*KEY, big(1), ttl=10)
    assert [store.states.get(*KEY)["n"] for _ in range(2)] == [1, 1]
    clock.advance(10)
    assert store.states.get(*KEY, "gone") == "gone"


def test_a_session_that_is_kept_alive_keeps_its_values(store: Store, clock: Clock) -> None:
    chat = store.agent("a").session("c", ttl=10)
    chat.set("k", big(1))
    for _ in range(4):
        assert chat.get("k") == big(1)
        clock.advance(8)
        chat.set("other", clock.micros)  # moves the clock of a key that is not written
    clock.advance(10)
    assert chat.get("k") is None


def test_a_clock_that_goes_back_brings_nothing_back(store: Store, clock: Clock) -> None:
    store.states.set(*KEY, big(1), ttl=10)
    store.states.get(*KEY)
    clock.advance(20)
    store.states.set("a", "local", "other", 1)
    clock.back(20)
    assert store.states.get(*KEY) is None


def test_the_past_and_transactions_are_read_from_the_database(store: Store) -> None:
    first = store.states.set(*KEY, big(1))
    store.states.set(*KEY, big(2))
    store.states.get(*KEY)
    past = store.at(first.revision)
    assert past.states.get(*KEY)["n"] == 1
    assert store.run(lambda tx: tx.states.get(*KEY))["n"] == 2
    with pytest.raises(InvalidValue, match="past"):
        past.cache.stats()


def test_a_closed_store_answers_nothing_from_memory(anywhere: str) -> None:
    store = Store(anywhere)
    store.states.set(*KEY, big(1))
    store.states.get(*KEY)
    store.close()
    with pytest.raises(StoreClosed):
        store.states.get(*KEY)


@only_sqlite
def test_a_closed_async_store_answers_nothing_from_memory(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            await store.states.set(*KEY, big(1))
            await store.states.get(*KEY)
        with pytest.raises(StoreClosed):
            await store.states.get(*KEY)

    run(main())


# ---- nobody can spoil it


def test_a_caller_who_changes_what_he_was_given_changes_nothing_else(store: Store) -> None:
    given = big(1)
    store.states.set(*KEY, given)
    given["rows"][0]["tags"][1]["b"] = "changed"
    for _ in range(6):
        found = store.states.get(*KEY)
        assert found == big(1)
        found["rows"][0]["tags"][1]["b"] = found["n"] = "changed"
        found["rows"].clear()
        assert store.states.get(*KEY, copy=False) == big(1)


@pytest.mark.parametrize("cached", [True, False])
def test_a_shared_value_cannot_be_changed_and_can_be_written(store: Store, cached: bool) -> None:
    store.states.set(*KEY, big(1) if cached else {"n": 1, "rows": [{"tags": ["a"]}]})
    shared = store.states.get(*KEY, copy=False)
    changes = calls(
        lambda: shared.update(n=2),
        lambda: shared["rows"].append(1),
        lambda: shared["rows"][0].__setitem__("i", 2),
        lambda: shared["rows"][0]["tags"].sort(),
    )
    for change in changes:
        with pytest.raises(TypeError, match="copy=True"):
            change()
    assert json.loads(json.dumps(shared)) == shared == store.states.get(*KEY)
    assert store.states.set("b", "local", "whole", shared).value == shared
    assert store.states.set("b", "local", "part", {"rows": shared["rows"], "hint": "NaN"}).version == 1
    assert type(store.states.get("b", "local", "part")["rows"]) is list
    store.states.patch("b", "local", "part", {"rows": {"x": shared["rows"]}})
    store.states.patch("b", "local", "part", [{"op": "add", "path": "/y", "value": shared}])
    store.states.patch("b", "local", "part", [{"op": "replace", "path": "/y/n", "value": 5}])
    assert store.states.get("b", "local", "part")["y"]["n"] == 5


def test_a_shared_value_merges_like_its_equal(store: Store) -> None:
    first = store.states.set(*KEY, big(1))
    mine = store.states.get(*KEY, copy=False)
    store.states.set(*KEY, {**big(1), "theirs": 1})
    ours = {"ours": mine["rows"], **mine}
    merged = store.states.set(*KEY, ours, expected_version=first.version, on_conflict="merge")
    assert merged.value == {"ours": mine["rows"], **big(1), "theirs": 1}


# ---- policies, warming, forgetting, counting


@only_sqlite
@pytest.mark.parametrize(("policy", "gone"), [("lru", "k1"), ("lfu", "k2")])
def test_who_makes_room(open_store: Opener, where: str, policy: str, gone: str) -> None:
    size = 3 * 9_500
    store = open_store(where, cache_policy=policy, cache_bytes=size)
    for name in ("k0", "k1", "k2"):
        store.states.set("a", "local", name, "x" * 9_000)
    for name in ("k0", "k0", "k1", "k1", "k2", "k0"):
        store.states.get("a", "local", name)
    store.states.set("a", "local", "k3", "x" * 9_000)
    missed = hits(store)[2]
    for name in {"k0", "k1", "k2"} - {gone}:
        store.states.get("a", "local", name)
    assert hits(store)[2] == missed
    store.states.get("a", "local", gone)
    assert hits(store)[2] == missed + 1
    found = store.cache.stats()
    assert found.bytes <= found.limit == size
    assert found.evictions >= 1


@only_sqlite
def test_by_time_nothing_stays_longer(open_store: Opener, where: str, clock: Clock) -> None:
    store = open_store(where, cache_policy="ttl", cache_ttl=60)
    store.states.set(*KEY, big(1))
    clock.advance(59)
    assert store.states.get(*KEY) == big(1)
    assert hits(store)[2] == 0
    clock.advance(2)
    assert store.states.get(*KEY) == big(1)
    assert hits(store)[2] == 1


@only_sqlite
def test_memory_is_bounded_by_what_values_take_as_objects_too(open_store: Opener, where: str) -> None:
    store = open_store(where, cache_bytes=600_000)
    for number in range(40):
        store.states.set("a", "local", f"k{number}", big(number))
        for _ in range(4):
            store.states.get("a", "local", f"k{number}")
            store.states.get("a", "local", f"k{number}", copy=False)
    found = store.cache.stats()
    assert 0 < found.bytes <= 600_000
    assert found.evictions + found.entries == 40
    store.states.set(*KEY, "x" * 700_000)
    assert store.states.get(*KEY) == "x" * 700_000


def test_warming_reads_before_anybody_asks(store: Store) -> None:
    store.states.set_many("a", "persistent", {f"plan/{n}": big(n) for n in range(3)} | {"small": 1})
    store.states.set("a", "local", "other", big(3))
    store.states.set("b", "local", "other", big(4))
    store.cache.clear()
    assert store.cache.warm("a", "persistent", "plan/*") == 3
    assert store.cache.warm("a", "persistent", keys=["plan/0", "small", "absent"]) == 0
    assert store.cache.warm("a") == 1
    assert store.cache.warm() == 1
    for at in (("a", "persistent", "plan/2"), ("a", "local", "other"), ("b", "local", "other")):
        store.states.get(*at)
    assert hits(store)[2] == 0


def test_forgetting(store: Store) -> None:
    for at in (("a", "local", "x/1"), ("a", "local", "x/2"), ("a", "shared", "x/1"), ("b", "local", "x/1")):
        store.states.set(*at, big(1))
    assert store.cache.invalidate("a", "local", "x/*") == 2
    assert store.cache.invalidate(key="x/2") == 0
    assert store.cache.invalidate(state_type="shared") == 1
    assert store.cache.clear() == 1
    assert store.cache.stats().entries == 0
    assert store.states.get("a", "local", "x/1") == big(1)


def test_misses_are_told(sort: str, ground: Places, clock: Clock) -> None:
    told: list[Address] = []
    also: list[Address] = []
    shell = SHELLS["async" if sort.startswith("async ") else "sync"]
    store = shell(ground.another(), clock=clock, on_cache_miss=told.append)
    try:
        store.cache.on_cache_miss(lambda at: 1 // 0)
        store.cache.on_cache_miss(also.append)
        store.states.set(*KEY, big(1))
        store.cache.clear()
        for _ in range(3):
            assert store.states.get(*KEY) == big(1)
        store.states.get("a", "local", "absent")
        assert told == also == [Address(*KEY)]
    finally:
        store.close()


def test_who_is_told_of_misses_is_a_plain_function(store: Store) -> None:
    async def awaited(_at: Address) -> None: ...

    wrong: list[Any] = [awaited, "missed"]
    for handler in wrong:
        with pytest.raises(InvalidValue, match="on_cache_miss"):
            store.cache.on_cache_miss(handler)
        with pytest.raises(InvalidValue, match="on_cache_miss"):
            Store(":memory:", on_cache_miss=handler)


def test_keys_to_warm_are_several(store: Store) -> None:
    with pytest.raises(InvalidValue, match="keys"):
        store.cache.warm("a", "local", keys="key")


def test_health_tells_what_the_cache_did(store: Store) -> None:
    store.states.set(*KEY, big(1))
    for _ in range(4):
        store.states.get(*KEY)
    found = store.health.stats().cache
    assert (found.hits, found.misses, found.hit_rate, found.entries, found.policy) == (4, 0, 1.0, 1, "lru")
    assert found.bytes > 4_000


def test_a_forked_child_is_answered_nothing_from_memory(where: str, filed: Store) -> None:
    cache = Cache(filed.settings)
    cache.stamped_by(lambda: 1)
    cache._lock.acquire()  # as a thread of the parent's may hold it at the fork
    cache.forsake()
    assert cache.current(Address(*KEY)) is None
    assert cache.stamp() is None
