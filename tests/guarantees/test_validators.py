"""Each validator accepts what a watcher should receive, and rejects a recording that was doctored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from statedb import Change, Store
from tests.guarantees.recording import Filter, Item, Life, Log, Marked, Noted, Values
from tests.guarantees.validators import GUARANTEES, violations
from tests.helpers import Clock

ALL = Filter()
FILTERS = [
    ALL,
    Filter(agent_id="a"),
    Filter(pattern="k*"),
    Filter(state_type="session"),
    Filter(kinds=frozenset({"delete", "expire"})),
]


@cache
def log() -> Log:
    """A log with every kind of change, commits of several, and commits of none."""
    clock = Clock()
    with Store(":memory:", clock=clock) as store:
        store.states.set("a", "shared", "k1", 1)  # 1
        store.states.set_many("a", "shared", {"k1": 2, "k2": None, "other": [1]})  # 2
        store.states.set("b", "session", "k1", "soon gone", ttl=60)  # 3
        store.states.touch("b", "session", "k1", ttl=30)  # 4
        store.states.delete("a", "shared", "k2")  # 5
        clock.advance(100)
        store.states.set("b", "session", "k1", "again")  # 6: what expired, 7: what is written
        with store.transaction() as tx:  # 8
            tx.states.delete("a", "shared", "other")
            tx.states.set("a", "shared", "k2", 4)
            tx.states.set("c", "local", "k3", 5)
        for number in range(3):  # 9 to 11
            store.states.set("a", "shared", "k1", [number])
        store.states.touch("b", "session", "k1", ttl=30)  # 12
        return Log(store.feed.changes(limit=1000), store.transfer.head(), floor=5)


def life(since: int, wanted: Filter = ALL, *, until: int | None = None, upto: int | None = None) -> Life:
    """Return what a watcher receives that notes where it is after each commit, and now and then hears that it is quiet.

    It goes on to `until`, or was killed when it had seen `upto`.
    """
    items: list[Item] = []
    last = until if until is not None else upto or 0
    for revision in range(since + 1, last + 1):
        changes = log().between(revision - 1, revision + 1, wanted)
        items += [*changes, *([] if changes else [Marked(revision)]), Noted(revision)]
    return Life(since, items, until=until)


def listing(revision: int) -> Values:
    """Return what stood at a revision, but sessions."""
    return {where: value for where, value in log().values(revision).items() if where.state_type != "session"}


def anew(since: int) -> Life:
    """Return a life that begins with a listing."""
    return replace(life(since, until=log().head), listing=listing(since))


GOOD = {
    "from the beginning to the end": [life(0, until=12)],
    "killed and resumed": [life(0, upto=4), life(4, upto=8), life(8, until=12)],
    "killed before it had seen anything": [Life(0), life(0, until=12)],
    "killed in the middle of a commit": [replace(life(0, upto=2), items=life(0, upto=2).items[:-2]), life(1, until=12)],
    "killed before it noted what it had seen": [
        replace(life(0, upto=2), items=life(0, upto=2).items[:-1]),
        life(1, until=12),
    ],
    "refused, and begun anew": [replace(life(0, upto=2), floor=5), anew(7)],
    "refused again": [replace(life(0, upto=2), floor=4), replace(anew(4), items=(), until=None, floor=5), anew(9)],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_a_watcher_should_receive_is_accepted(name: str) -> None:
    assert violations(GOOD[name], log(), ALL) == {}


@pytest.mark.parametrize("wanted", FILTERS)
def test_what_passes_a_filter_is_accepted(wanted: Filter) -> None:
    assert log().between(0, 13, wanted), "the filter picks nothing"
    assert violations([life(0, wanted, upto=6), life(6, wanted, until=12)], log(), wanted) == {}


# ---- doctored

Doctor = Callable[[list[Life]], list[Life]]


def on(number: int, doctored: Callable[[list[Item]], list[Item]]) -> Doctor:
    """Return what changes the items of one life."""
    return lambda lives: [
        replace(each, items=doctored([*each.items])) if place == number else each for place, each in enumerate(lives)
    ]


def at_revision(revision: int, place: int = 0) -> Change:
    return [change for change in log().changes if change.revision == revision][place]


def without(*lost: Item) -> Callable[[list[Item]], list[Item]]:
    return lambda items: [item for item in items if item not in lost]


def with_after(after: Item, *added: Item) -> Callable[[list[Item]], list[Item]]:
    return lambda items: [each for item in items for each in ([item, *added] if item == after else [item])]


def with_changed(revision: int, place: int = 0, **fields: object) -> Callable[[list[Item]], list[Item]]:
    told = at_revision(revision, place)
    return lambda items: [replace(told, **fields) if item == told else item for item in items]  # type: ignore[arg-type]


def life_as(number: int, **fields: object) -> Doctor:
    return lambda lives: [
        replace(each, **fields) if place == number else each  # type: ignore[arg-type]
        for place, each in enumerate(lives)
    ]


KILLED, WHOLE, REFUSED = (
    GOOD["killed and resumed"],
    GOOD["from the beginning to the end"],
    GOOD["refused, and begun anew"],
)
MISSED = {"reliable", "resumable", "bookmarkable"}
"""What is missed is missing for those who have noted or been told that they had it as well."""

DOCTORED: dict[str, tuple[list[Life], Doctor, set[str]]] = {
    "two commits change places": (
        WHOLE,
        on(0, lambda items: [at_revision(3), Noted(3), *without(at_revision(3), Noted(3))(items)]),
        {"ordered", "resumable"},
    ),
    "two changes of a commit change places": (
        WHOLE,
        on(0, lambda items: [*with_after(at_revision(2, 2), at_revision(2, 0))(without(at_revision(2, 0))(items) )]),
        {"ordered"},
    ),
    "a commit comes twice": (WHOLE, on(0, with_after(at_revision(1), at_revision(1))), {"unique"}),
    "what the life before had seen and noted comes again": (
        KILLED,
        on(1, lambda items: [at_revision(3), *items]),
        {"unique"},
    ),
    "half a commit": (
        WHOLE,
        on(0, without(at_revision(2, 1))),
        MISSED | {"atomic"},
    ),
    "the last of a commit is missing": (
        WHOLE,
        on(0, without(at_revision(8, 2))),
        MISSED | {"atomic"},
    ),
    "a commit in two pieces": (
        WHOLE,
        on(0, lambda items: [*with_after(at_revision(3), at_revision(2, 2))(without(at_revision(2, 2))(items))]),
        {"ordered", "atomic", "resumable"},
    ),
    "a commit is left out": (WHOLE, on(0, without(at_revision(3))), MISSED),
    "the last commit is left out": (WHOLE, on(0, without(at_revision(11))), MISSED),
    "nothing comes at all": (WHOLE, on(0, without(*log().changes)), MISSED),
    "a change that nobody made": (
        WHOLE,
        on(0, with_after(at_revision(3), replace(at_revision(3), event_id="made up"))),
        {"reliable"},
    ),
    "a commit that was seen to its end and lacks its middle": (
        [replace(life(0, upto=2), items=life(0, upto=2).items[:-1]), life(1, until=12)],
        on(0, without(at_revision(2, 1))),
        {"atomic"},
    ),
    "a commit left out where no place was noted": (
        [replace(life(0, upto=3), items=[at_revision(1), *log().changes[1:4], at_revision(3)]), life(0, until=12)],
        on(0, without(*log().changes[1:4])),
        {"reliable"},
    ),
    "a life goes on too late": (KILLED, life_as(1, since=5), {"resumable", "unique"}),
    "a life goes on too early": (KILLED, life_as(1, since=3), {"resumable"}),
    "a place is noted before what it covers came": (KILLED, on(0, lambda items: [*items, Noted(5)]), {"resumable"}),
    "a place is noted that comes before one noted already": (
        KILLED,
        on(0, lambda items: [*items, Noted(2), Noted(4)]),
        {"resumable"},
    ),
    "killed in the middle of a commit that it had noted": (
        [life(0, upto=2), life(2, until=12)],
        on(0, without(at_revision(2, 2))),
        {"resumable"},
    ),
    "a bookmark before what it covers": (WHOLE, on(0, with_after(Noted(2), Marked(3))), {"bookmarkable"}),
    "a bookmark from the future": (KILLED, on(2, lambda items: [*items, Marked(13)]), {"bookmarkable"}),
    "a bookmark that goes back": (WHOLE, on(0, with_after(Marked(12), Marked(4))), {"bookmarkable"}),
    "no bookmark to say that it has got to the end": (
        WHOLE,
        on(0, without(Marked(12), Noted(12))),
        {"bookmarkable"},
    ),
    "a change that was not asked for": (
        [life(0, FILTERS[1], until=12)],
        on(0, with_after(at_revision(2, 2), at_revision(3))),
        {"filtered exactly"},
    ),
    "an old value of one version before": (WHOLE, on(0, with_changed(10, old_value=2)), {"old_value right"}),
    "no old value": (WHOLE, on(0, with_changed(2, old_value=None)), {"old_value right"}),
    "an old value of what had expired": (WHOLE, on(0, with_changed(7, old_value="soon gone")), {"old_value right"}),
    "another new value": (WHOLE, on(0, with_changed(3, new_value="another")), {"old_value right"}),
    "an update called a creation": (WHOLE, on(0, with_changed(9, change="create")), {"old_value right"}),
    "refused above the floor": ([replace(life(0, upto=6), floor=5), anew(7)], lambda lives: lives, {"compacted"}),
    "refused for a floor that there is not": (REFUSED, life_as(0, floor=9), {"compacted"}),
    "a silent gap": (REFUSED, life_as(0, floor=None), {"compacted", "resumable"}),
    "begun anew without a listing": (REFUSED, life_as(1, listing=None), {"compacted"}),
    "a listing of another moment": (REFUSED, life_as(1, listing=listing(1)), {"compacted"}),
    "a listing that lacks a key": (
        REFUSED,
        life_as(1, listing={k: v for k, v in listing(7).items() if k.key != "k1"}),
        {"compacted"},
    ),
    "begun anew before where it was": ([REFUSED[0], anew(1)], lambda lives: lives, {"compacted"}),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCTORED)
def test_what_a_watcher_should_not_receive_is_rejected(name: str) -> None:
    lives, doctor, noticed = DOCTORED[name]
    wanted = FILTERS[1] if name == "a change that was not asked for" else ALL
    found = violations(doctor(lives), log(), wanted)
    assert found.keys() == noticed, found


def test_each_validator_is_the_only_one_to_notice_something() -> None:
    assert {name for _, _, noticed in DOCTORED.values() if len(noticed) == 1 for name in noticed} == GUARANTEES.keys()


@given(st.data())
@settings(max_examples=100)
def test_nothing_that_befalls_a_recording_goes_unnoticed(data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from(FILTERS[:3]))
    lives = [life(0, wanted, upto=5), life(5, wanted, until=12)]
    number = data.draw(st.integers(0, 1))
    items = [*lives[number].items]
    place = data.draw(st.sampled_from([place for place, item in enumerate(items) if isinstance(item, Change)]))
    match data.draw(st.sampled_from(["lost", "doubled", "put off"])):
        case "lost":
            del items[place]
        case "doubled":
            items.insert(data.draw(st.integers(0, len(items))), items[place])
        case "put off":
            later = data.draw(st.integers(place + 1, len(items)))
            items.insert(later, items[place])
            del items[place]
            assume(items != [*lives[number].items])
    lives[number] = replace(lives[number], items=items)
    assert violations(lives, log(), wanted)
