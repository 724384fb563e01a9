"""Streams: events are numbered, appended all or none, read as they stood, and never change."""

from __future__ import annotations

import random
import shutil
from typing import Any

import pytest
from pydantic import BaseModel

from statedb import (
    UNAVAILABLE,
    Erased,
    Event,
    InvalidKey,
    InvalidValue,
    NoSuchVersion,
    RecordedEvent,
    Store,
    ValueTooLarge,
    VersionConflict,
)
from tests.helpers import Clock, calls, pages
from tests.places import Places, only_sqlite, tamper

SORTS = ("file", "postgres", "async postgres")


def happened(*types: str) -> list[Event]:
    return [Event(type, {"is": type}) for type in types]


def numbers(events: list[RecordedEvent]) -> list[tuple[str, int, int, str]]:
    return [(each.stream_id, each.version, each.position, each.type) for each in events]


# ---- appending


def test_events_count_in_their_stream_and_in_the_store(store: Store, clock: Clock) -> None:
    placed, paid = store.streams.append("order-7", happened("placed", "paid"), expected_version=0, message="new")
    assert numbers([placed, paid]) == [("order-7", 1, 1, "placed"), ("order-7", 2, 2, "paid")]
    assert (placed.revision, placed.at, placed.by, placed.metadata) == (1, clock.moment, None, None)
    assert placed.id != paid.id
    clock.advance(1)
    [other] = store.streams.append("order-8", [Event("placed", b"\0raw", {"m": 1}, "e1")])
    assert (other.version, other.position, other.revision) == (1, 3, 2)
    assert (other.data, other.metadata, other.id, other.at) == (b"\0raw", {"m": 1}, "e1", clock.moment)
    assert store.streams.read("order-7") == [placed, paid]
    assert store.streams.read_all() == [placed, paid, other]
    assert (store.streams.version("order-7"), store.streams.version("none"), store.streams.position()) == (2, 0, 3)
    assert [(commit.kind, commit.message) for commit in store.history.commits()] == [
        ("append", None),
        ("append", "new"),
    ]
    assert store.feed.changes() == [], "an event is no change of a state"


EXPECTED: list[tuple[int, Any, bool]] = [
    (0, None, True), (2, None, True), (0, "any", True), (2, "any", True),
    (0, "no_stream", True), (2, "no_stream", False), (0, 0, True), (2, 0, False),
    (0, "exists", False), (2, "exists", True), (2, 2, True), (2, 1, False), (2, 3, False), (0, 1, False),
]  # fmt: skip


@only_sqlite
def test_an_append_says_what_has_to_be_there(filed: Store) -> None:
    append = filed.streams.append
    for number, (there, expected, fits) in enumerate(EXPECTED):
        stream = str(number)
        if there:
            append(stream, happened(*"ab"), agent_id="a")
        if fits:
            assert append(stream, happened("c"), expected)[0].version == there + 1
            assert append(stream, []) == []
            continue
        for events in (happened("c"), []):
            with pytest.raises(VersionConflict) as caught:
                append(stream, events, expected)
        assert (caught.value.key, caught.value.version) == (stream, there)
        assert caught.value.expected_version == {"exists": 1, "no_stream": 0}.get(expected, expected)
        assert filed.streams.version(stream) == there


def test_what_lost_its_answer_may_be_appended_again(store: Store) -> None:
    events = [Event("a", 1, id="one"), Event("b", 2, id="two")]
    made = store.streams.append("s", events, "no_stream")
    again: list[Any] = [0, "no_stream", None, "exists"]
    assert [store.streams.append("s", events, expected) for expected in again] == [made] * 4
    assert store.transfer.head() == 1
    store.streams.append("s", [Event("c", 3, id="three")], 2)
    assert store.streams.append("s", events, 0) == made, "though others came after"
    for meant in ([Event("a", 1, id="one"), Event("b", 2, id="other")], [Event("a", 1), Event("b", 2)]):
        with pytest.raises(VersionConflict, match="none was expected"):
            store.streams.append("s", meant, 0)
    with pytest.raises(InvalidValue, match="another event of the id 'three'"):
        store.streams.append("s", [Event("c", 4, id="three")])
    with pytest.raises(InvalidValue, match="have one id"):
        store.streams.append("t", [Event("a", id="x"), Event("b", id="x")])
    with store.transaction() as tx:
        made = tx.streams.append("s", [Event("d", id="four")], 3)
        assert tx.streams.append("s", [Event("d", id="four")], 3) == made
    assert store.streams.version("s") == 4


def test_what_is_no_event_is_refused_and_nothing_is_written(filed: Store) -> None:
    class Placed(BaseModel):
        n: int

    append = filed.streams.append
    for wrong in calls(
        lambda: append("s", [Event("ok"), Event("a", {1: 2})]),
        lambda: append("s", [Event("a", metadata=[1])]),  # type: ignore[arg-type]
        lambda: append("s", [{"type": "a"}]),  # type: ignore[list-item]
        lambda: append("s", happened("a"), "sometime"),  # type: ignore[arg-type]
        lambda: append("s", happened("a"), -1),
    ):
        with pytest.raises(InvalidValue):
            wrong()
    for name in ("", "a\0", "x" * 1025):
        named: list[tuple[str, Event, str | None]] = [
            (name, Event("a"), None),
            ("s", Event(name), None),
            ("s", Event("a", id=name), None),
            ("s", Event("a"), name),
        ]
        for stream, event, agent in named:
            with pytest.raises(InvalidKey):
                append(stream, [event], agent_id=agent)
    with pytest.raises(ValueTooLarge):
        append("s", [Event("a", "x" * filed.settings.max_value_bytes)])
    assert filed.transfer.head() == 0
    [made] = append("s", Event("placed", Placed(n=1)))  # type: ignore[arg-type]
    assert made.data == {"n": 1}


def test_a_stream_is_its_agents_for_good(store: Store) -> None:
    store.streams.append("mine", happened("a"), agent_id="a")
    store.streams.append("mine", happened("b"))
    store.streams.append("nobodys", happened("c"))
    store.streams.append("yours", happened("d"), agent_id="b")
    store.streams.append("mine", happened("e"), agent_id="a")
    for stream, whose in (("mine", "a"), ("nobodys", "nobody")):
        with pytest.raises(InvalidValue, match=f"belongs to {whose}, and not to b"):
            store.streams.append(stream, happened("x"), agent_id="b")
    assert [(each.stream_id, each.agent_id, each.version) for each in store.streams.list()] == [
        ("mine", "a", 3), ("nobodys", None, 1), ("yours", "b", 1)
    ]  # fmt: skip
    assert [each.stream_id for each in store.streams.list("a")] == ["mine"]
    assert [each.stream_id for each in store.streams.list(pattern="*s")] == ["nobodys", "yours"]
    assert [each.type for each in store.streams.read_all(agent_id="a")] == ["a", "b", "e"]
    store.streams.save_snapshot("mine", 1, 1)
    assert [commit.revision for commit in store.history.commits(agent_id="a")] == [6, 5, 2, 1]
    assert store.feed.changes(agent_id="a") == []
    assert (store.streams.list("nobody"), store.streams.read_all(agent_id="nobody")) == ([], [])


# ---- in a transaction


def test_a_transaction_sees_what_it_appends_and_is_one_commit(store: Store) -> None:
    store.streams.append("s", happened("a"))
    with store.transaction(actor="me") as tx:
        tx.states.set("a", "local", "k", 1)
        made = [*tx.streams.append("s", happened("b"), 1), *tx.streams.append("t", happened("c", "d"), 0, agent_id="a")]
        made += tx.streams.append("s", happened("e"), 2)
        assert numbers(made) == [("s", 2, 2, "b"), ("t", 1, 3, "c"), ("t", 2, 4, "d"), ("s", 3, 5, "e")]
        assert [each.type for each in tx.streams.read("s")] == ["a", "b", "e"]
        assert [each.type for each in tx.streams.read("s", 2, 1, backward=True)] == ["b"]
        assert [each.type for each in tx.streams.read("s", backward=True)] == ["e", "b", "a"]
        assert [each.type for each in tx.streams.read("s", backward=True, limit=2)] == ["e", "b"]
        assert [each.type for each in tx.streams.read_all(2, 3)] == ["b", "c", "d"]
        assert [each.type for each in tx.streams.read_all(3, backward=True, stream="s")] == ["b", "a"]
        assert [each.type for each in tx.streams.read_all(agent_id="a", types=["c", "e"])] == ["c"]
        assert [(each.stream_id, each.version, each.revision) for each in tx.streams.list()] == [
            ("s", 3, 0),
            ("t", 2, 0),
        ]
        assert (tx.streams.version("t"), tx.streams.position()) == (2, 5)
        assert {each.revision for each in made} == {0}
    assert {(each.revision, each.by) for each in made} == {(2, "me")}
    assert store.streams.read_all(2) == made
    assert store.states.entry("a", "local", "k").revision == 2  # type: ignore[union-attr]


def test_what_a_transaction_reads_of_its_own_is_a_copy(store: Store) -> None:
    def spoil(thing: Any) -> Any:
        for held in (thing.metadata, getattr(thing, "data", None) or thing.state):
            held["n"].append(2)
        return thing

    def work(tx: Any) -> list[Any]:
        made = [spoil(tx.streams.append("s", [Event("a", {"n": [1]}, {"n": [0]})])[0])]
        made += [spoil(tx.streams.read("s")[0]), spoil(tx.streams.read_all()[0]), tx.streams.read("s")[0]]
        made += [spoil(tx.streams.save_snapshot("s", 1, {"n": [1]}, {"n": [0]})), spoil(tx.streams.load_snapshot("s"))]
        return [*made, tx.streams.load_snapshot("s"), tx.streams.save_snapshot("s", 1, {"n": [1]}, {"n": [0]})]

    made = store.run(work)
    assert made[3] == store.streams.read("s")[0]
    assert made[6] == made[7] == store.streams.load_snapshot("s")
    assert {each.revision for each in made} == {1}


def test_a_transaction_that_fails_appends_nothing(store: Store) -> None:
    def fail(tx: Any) -> None:
        tx.streams.append("s", happened("a"))
        tx.streams.save_snapshot("s", 1, 1)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        store.run(fail)
    assert (store.streams.list(), store.streams.position(), store.transfer.head()) == ([], 0, 0)
    assert store.streams.append("s", happened("a"))[0].position == 1


def test_streams_are_the_stores_whatever_branch_somebody_stands_on(store: Store) -> None:
    store.streams.append("s", happened("a"))
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.streams.append("s", happened("b"), 1)
    store.streams.append("s", happened("c"), 2)
    assert (
        [each.type for each in store.streams.read("s")] == [each.type for each in lab.streams.read("s")] == list("abc")
    )
    store.states.set("a", "local", "k", 1)
    store.restore(1)
    store.branches.merge("lab")
    assert store.streams.version("s") == 3


# ---- reading, beside a model


def test_reading_is_as_of_every_moment_what_a_list_would_say(store: Store, ground: Places) -> None:
    dice = random.Random(7)
    model: list[tuple[str, int, int, str, int]] = []
    agents = {"s": "a", "t": None, "s*": "b"}
    for revision in range(1, 13):
        stream = dice.choice(["s", "t", "s*"])
        types = dice.choices("xyz", k=dice.randint(1, 4))
        store.streams.append(stream, happened(*types), agent_id=agents[stream])
        for type in types:
            version = sum(each[0] == stream for each in model) + 1
            model.append((stream, version, len(model) + 1, type, revision))
    for _ in range(40):
        top, start, limit = dice.randint(1, 12), dice.choice([None, *range(30)]), dice.randint(1, 12)
        backward = dice.random() < 0.5
        there = [each for each in model if each[4] <= top][:: -1 if backward else 1]
        shell = store.at(top) if top < 12 else store

        def from_start(number: int, start: int | None = start, backward: bool = backward) -> bool:
            return start is None or (number <= start if backward else number >= start)

        stream = dice.choice(["s", "t", "s*", "none"])
        found = shell.streams.read(stream, start, limit, backward=backward)
        assert numbers(found) == [each[:4] for each in there if each[0] == stream and from_start(each[1])][:limit]
        asked: dict[str, Any] = {
            "agent_id": dice.choice([None, "a", "b", "c"]),
            "types": dice.choice([None, "x", ["x", "z"], []]),
            "stream": dice.choice([None, None, "s*", "t"]),
            "pattern": dice.choice(["*", "s*", "s[*]", "none"]),
        }
        matching = {"*": agents, "s*": {"s", "s*"}, "s[*]": {"s*"}, "none": set()}[asked["pattern"]]
        wanted = [
            each[:4]
            for each in there
            if from_start(each[2])
            and asked["agent_id"] in (None, agents[each[0]])
            and (asked["types"] is None or each[3] in asked["types"])
            and asked["stream"] in (None, each[0])
            and each[0] in matching
        ]
        assert numbers(shell.streams.read_all(start, limit, backward=backward, **asked)) == wanted[:limit]
        standing = sorted({each[0] for each in there})
        assert [(each.stream_id, each.version) for each in shell.streams.list()] == [
            (name, sum(each[0] == name for each in there)) for name in standing
        ]
        assert shell.streams.position() == len(there)
        assert shell.streams.version(stream) == sum(each[0] == stream for each in there)


# ---- snapshots


def test_a_snapshot_is_found_by_the_version_asked_for(store: Store, clock: Clock) -> None:
    store.streams.append("s", happened(*"abcde"))
    first = store.streams.save_snapshot("s", 2, {"n": 2}, {"m": 1}, message="by hand")
    assert (first.version, first.state, first.metadata) == (2, {"n": 2}, {"m": 1})
    assert (first.revision, first.at) == (2, clock.moment)
    second = store.streams.save_snapshot("s", 4, b"\0" * 40_000)
    assert [store.streams.load_snapshot("s", version) for version in (1, 2, 3, 4, None)] == [
        None, first, first, second, second
    ]  # fmt: skip
    assert store.streams.load_snapshot("none") is None
    assert store.streams.save_snapshot("s", 2, {"n": 2}, {"m": 1}) == first, "the same is there already"
    assert store.transfer.head() == 3
    third = store.streams.save_snapshot("s", 4, "anew")
    assert store.streams.load_snapshot("s") == third
    assert store.at(3).streams.load_snapshot("s") == second, "the past shows what it showed"
    with pytest.raises(NoSuchVersion, match="at version 5, and 6 was asked for"):
        store.streams.save_snapshot("s", 6, 1)
    with store.transaction() as tx:
        tx.streams.append("t", happened("x"))
        tx.streams.save_snapshot("t", 1, 1)
        made = tx.streams.save_snapshot("t", 1, 2)
        assert tx.streams.load_snapshot("t") == made
        again = tx.streams.save_snapshot("s", 4, "once more")
        assert tx.streams.load_snapshot("s") == again, "not the one that stands until the commit"
    assert store.streams.load_snapshot("t") == made
    assert [commit.message for commit in store.history.commits()][-2:] == ["by hand", None]


def count(state: list[str], event: RecordedEvent) -> list[str]:
    return [*state, event.type]


def test_an_aggregate_starts_from_the_newest_snapshot(store: Store) -> None:
    read: list[int] = []

    def fold(state: list[str], event: RecordedEvent) -> list[str]:
        read.append(event.version)
        return count(state, event)

    assert store.streams.aggregate("s", fold, []) == []
    store.streams.append("s", happened(*"abc"))
    assert store.streams.aggregate("s", fold, [], snapshot_every=4) == list("abc")
    assert store.streams.load_snapshot("s") is None
    assert store.streams.aggregate("s", fold, [], snapshot_every=3) == list("abc")
    snapshot = store.streams.load_snapshot("s")
    assert snapshot is not None
    assert (snapshot.version, snapshot.state) == (3, list("abc"))
    store.streams.append("s", happened("d"))
    read.clear()
    assert store.streams.aggregate("s", fold, [], snapshot_every=3) == list("abcd")
    assert store.streams.aggregate("s", fold, [], version=2) == list("ab")
    assert read == [4, 1, 2]
    assert store.at(1).streams.aggregate("s", fold, [], snapshot_every=1) == list("abc"), "and the past is not written"
    with store.transaction() as tx:
        tx.streams.append("s", happened("e"))
        assert tx.streams._fold("s", count, []).state == list("abcde")
    with pytest.raises(NoSuchVersion):
        store.streams.aggregate("s", fold, [], version=6)


@only_sqlite
def test_erased_data_is_unavailable_and_no_fault_of_the_store(filed: Store, where: str) -> None:
    filed.streams.append("s", [Event("a", {"x": 1}, {"who": "me"}), Event("b", 2)])
    filed.streams.save_snapshot("s", 1, 1)
    gone = "set codec = 4, value = null, metadata = null where version = 1"
    tamper(where, f"update stream_events {gone}", by=filed)
    assert [each.data for each in filed.streams.read("s")] == [UNAVAILABLE, 2]
    assert filed.streams.aggregate("s", lambda state, event: state + event.data, 0) == 3, "from the snapshot"
    tamper(where, f"update stream_snapshots {gone}", by=filed)
    for wrong in calls(
        lambda: filed.streams.load_snapshot("s"),
        lambda: filed.streams.aggregate("s", count, []),
        lambda: filed.transfer.export(),
    ):
        with pytest.raises(Erased):
            wrong()
    assert filed.health.check().problems == ()
    filed.streams.save_snapshot("s", 1, 1)
    assert filed.streams.load_snapshot("s").state == 1, "one that was erased is not the same"  # type: ignore[union-attr]
    filed.streams.append("t", happened("a", "b"))
    filed.streams.save_snapshot("t", 1, ["a"])
    tamper(where, f"update stream_snapshots {gone}", by=filed)
    assert filed.streams.aggregate("t", count, []) == ["a", "b"], "of the events, which are there all the same"


# ---- carried, checked


def fill(store: Store) -> None:
    store.streams.append("s", [Event("a", {"x": 1}, {"m": 1}, "one"), Event("b", b"\0raw")], agent_id="a")
    with store.transaction() as tx:
        tx.streams.append("t", happened("c"))
        tx.states.set("a", "local", "k", 1)
        tx.streams.append("s", [Event("d", "x" * 40_000)])
    store.streams.save_snapshot("s", 2, {"n": 2}, {"m": 2})
    store.streams.save_snapshot("s", 2, b"anew")
    store.streams.save_snapshot("t", 1, 1)


def test_streams_arrive_as_they_were_and_go_on_after_what_is_there(store: Store, ground: Places, clock: Clock) -> None:
    fill(store)
    records = list(pages(store, 2))
    with Store(ground.apart(), clock=clock) as other:
        for record in records:
            other.transfer.load([record])
        assert list(pages(other)) == records
        assert other.streams.read_all() == store.streams.read_all()
        assert other.streams.list() == store.streams.list()
        for name in "st":
            assert other.streams.load_snapshot(name) == store.streams.load_snapshot(name)
        assert other.at(3).streams.load_snapshot("s") == store.at(3).streams.load_snapshot("s")
        assert other.health.check().problems == ()
    with Store(ground.apart(), clock=clock) as other:
        other.streams.append("s", happened("first"), agent_id="b")
        other.transfer.load(records)
        assert numbers(other.streams.read_all()) == [
            ("s", 1, 1, "first"), ("s", 2, 2, "a"), ("s", 3, 3, "b"), ("t", 1, 4, "c"), ("s", 4, 5, "d")
        ]  # fmt: skip
        assert other.streams.list("b")[0].version == 4
        assert other.streams.load_snapshot("s") is None, "it was made of other events"
        assert other.streams.load_snapshot("t", 1).state == 1  # type: ignore[union-attr]
        assert other.health.check().problems == ()


@pytest.mark.parametrize(
    "deed",
    [
        {"do": "append", "stream": "s", "events": []},
        {"do": "append", "stream": "s", "events": [{"id": "a", "type": "a"}]},
        {"do": "append", "stream": "s", "events": [{"id": "a", "type": "a", "value": 1, "bytes": "AA=="}]},
        {"do": "append", "stream": "", "events": [{"id": "a", "type": "a", "value": 1}]},
        {"do": "snapshot", "stream": "s", "version": 0, "event": "a", "value": 1},
    ],
)
@only_sqlite
def test_a_record_that_no_store_exported_is_refused(filed: Store, deed: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="record 1"):
        filed.transfer.load([{"revision": 1, "kind": "append", "at": 0, "origin": "x:1", "deeds": [deed]}])
    assert filed.transfer.head() == 0


EVENT, SNAPSHOT = "stream_id = 1 and version = 2", "stream_id = 1 and codec = 0"
TAMPERED = {
    **{
        f"{table}'s {column}": f"update {table} set {column} = {to} where {where}"
        for table, where, columns in (
            ("event_streams", "id = 1", {
                "name": "'z'", "agent_id": "null", "version": 2, "revision": 3, "created_revision": 2,
                "salt": "randomblob(16)",
            }),
            ("stream_events", EVENT, {
                "version": 7, "position": 9, "revision": 2, "event_id": "'z'", "event_type": "'z'",
                "digest": "randomblob(16)", "data": "x'00'", "codec": "null", "metadata": "'{}'",
            }),
            ("stream_events", "event_id = 'one'", {"value": "'7'", "metadata": "null"}),
            ("stream_snapshots", SNAPSHOT, {
                "version": 1, "revision": 2, "digest": "randomblob(16)", "value": "'7'", "metadata": "null",
            }),
        )
        for column, to in columns.items()
    },
    "an event deleted": f"delete from stream_events where {EVENT}",
    "the last event deleted": "delete from stream_events where position = 4",
    "an event more": "insert into stream_events (stream_id, version, position, revision, event_id, event_type) "
    "values (2, 2, 5, 2, 'more', 'x')",
    "a stream more": "insert into event_streams (id, name, version, revision, created_revision, salt) "
    "values (7, 'more', 0, 1, 1, x'00')",
    "a stream deleted": "delete from event_streams where id = 2",
    "a snapshot deleted": "delete from stream_snapshots where stream_id = 2",
    "two events exchanged": "update stream_events set position = -position where stream_id = 1 and version < 3; "
    "update stream_events set position = 3 + position where position < 0",
    "what a commit did": "update commit_deeds set said = replace(said, '\"version\":1', '\"version\":2')",
}  # fmt: skip


@only_sqlite
def test_tampering_with_streams_is_noticed(where: str, clock: Clock) -> None:
    with Store(where, clock=clock, durability="normal") as store:
        fill(store)
        assert store.health.check().problems == ()
    for number, (what, script) in enumerate(TAMPERED.items()):
        copy = f"{where}-{number}"
        shutil.copy(where, copy)
        assert tamper(copy, script) > 0, what
        with Store(copy, clock=clock) as store:
            assert not store.health.check().ok, what
