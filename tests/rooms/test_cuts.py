"""What retention cut and what was erased: every reader of the past says so, and with `partial` names what is missing.

Nothing cuts yet; these tests do to the rows what a compaction and an erasure will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from statedb import UNAVAILABLE, Address, Compacted, Erased, Store
from tests.helpers import Clock, calls
from tests.places import tamper

K = ("a", "local", "k")


@pytest.fixture
def cut(where: str) -> Iterator[Store]:
    """A store in which what `k` was before revision 5 (its version 3) has been cut, and all else is there."""
    with Store(where, clock=Clock()) as store:
        store.states.set(*K, {"n": 1, "old": True})  # 1
        store.states.set("a", "local", "kept", 1)  # 2
        store.states.set(*K, {"n": 2, "old": True})  # 3
        store.states.set("b", "local", "k", 1)  # 4
        store.states.set(*K, {"n": 3, "old": True})  # 5
        store.states.set(*K, {"n": 4, "old": True})  # 6
    tamper(
        where,
        "update agent_states set floor = 5 where state_key = 'k' and id = 1",
        "delete from state_versions where state_id = 1 and revision < 5",
    )
    with Store(where, clock=Clock()) as store:
        yield store


def test_no_reader_passes_over_what_was_cut(cut: Store) -> None:
    past = cut.at(3)
    readers = calls(
        lambda: past.states.get(*K),
        lambda: past.states.entry(*K),
        lambda: past.states.exists(*K),
        lambda: past.states.get_many("a", [("local", "k"), ("local", "kept")]),
        lambda: past.states.keys("a", "local"),
        lambda: past.states.items("a", "local", "k*"),
        lambda: past.agent("a").local.keys(),
        lambda: past.history.versions(*K),
        lambda: past.history.blame(*K),
        lambda: past.history.get_with_history(*K),
        lambda: cut.history.get(*K, version=2),
        lambda: cut.history.diff(*K, 2, 4),
        lambda: cut.history.revert(*K, version=1),
        lambda: cut.history.blame(*K),
        lambda: cut.history.bisect(*K, lambda value: value["old"]),
        lambda: cut.history.changes(3, 6),
        lambda: cut.history.changes(6, 3, agent_id="a"),
        lambda: cut.history.commits(),
        lambda: cut.history.commits(agent_id="a"),
        lambda: cut.history.commit(3),
        lambda: cut.feed.changes(),
        lambda: cut.feed.changes(since=3, agent_id="a"),
        lambda: cut.feed.changes(since=4),
        lambda: cut.undo(revision=3),
        lambda: cut.undo(revision=5),
        lambda: cut.undo(revision=2),
    )
    for number, read in enumerate(readers):
        with pytest.raises(Compacted) as caught:
            pytest.fail(f"reader {number} answered {read()!r}")
        assert caught.value.floor == 5
        assert caught.value.missing == (Address(*K),)
    assert cut.transfer.head() == 6


def test_with_partial_what_is_left_is_read_and_the_rest_named(cut: Store) -> None:
    past, missing = cut.at(3), (Address(*K),)
    keys = past.states.keys("a", "local", partial=True)
    assert (keys, keys.missing) == (["kept"], missing)
    items = past.states.items("a", "local", partial=True)
    assert (items, items.missing) == ([("kept", 1)], missing)
    assert past.agent("a").local.keys(partial=True).missing == missing
    found = cut.history.changes(1, 6, partial=True)
    assert [(each.agent_id, each.key) for each in found] == [("a", "kept"), ("b", "k")]
    assert found.missing == missing
    log = cut.history.commits(partial=True)
    assert ([commit.revision for commit in log], log.missing) == ([6, 5, 4, 3, 2, 1], missing)
    assert cut.history.commit(3, partial=True).changes == ()
    blame = cut.history.blame(*K, partial=True)
    assert {at: version.version for at, version in blame.items()} == {"/n": 4}
    assert blame.missing == ("/old",)
    first = cut.history.bisect(*K, lambda value: value["old"], partial=True)
    assert first is not None
    assert first.version == 3


def test_what_was_not_cut_is_read_as_ever(cut: Store) -> None:
    assert cut.at(5).states.items("a", "local") == [("k", {"n": 3, "old": True}), ("kept", 1)]
    assert cut.at(3).states.keys("a", "local", "kep*") == ["kept"]
    assert cut.at(3).states.items("b", "local") == []
    assert cut.at(4).states.get("b", "local", "k") == 1
    assert cut.history.bisect(*K, lambda value: value["n"] >= 4).version == 4  # type: ignore[union-attr]
    assert cut.history.diff(*K, 3, 4).modified == {"/n": (3, 4)}
    assert cut.history.changes(5, 6)[0].old_value == {"n": 3, "old": True}
    assert [commit.revision for commit in cut.history.commits(limit=2)] == [6, 5]
    assert cut.history.commits(agent_id="b").missing == ()
    assert [change.revision for change in cut.feed.changes(since=5)] == [6]
    assert [change.revision for change in cut.feed.changes(agent_id="b")] == [4]
    assert cut.undo(revision=6).revision == 7


def test_a_listing_of_versions_shows_what_is_left_and_names_a_key_it_saw_the_end_of(cut: Store) -> None:
    whole = cut.history.versions(*K)
    assert ([each.version for each in whole], whole.missing) == ([4, 3], (Address(*K),))
    assert cut.history.versions(*K, limit=2).missing == ()
    assert cut.history.versions(*K, since=5).missing == ()
    assert cut.history.get_with_history(*K).versions == tuple(whole)


@pytest.fixture
def erased(where: str) -> Iterator[Store]:
    """A store in which the first version of `k` and of `other` has been erased."""
    with Store(where, clock=Clock()) as store:
        store.states.set(*K, {"n": 1, "secret": "x"})  # 1
        store.states.set("a", "local", "other", "x")  # 2
        store.states.set(*K, {"n": 2, "secret": "x"})  # 3
        store.states.set("a", "local", "plain", 1)  # 4
    tamper(where, "update state_versions set codec = 4, value = null, data = null where revision in (1, 2)")
    tamper(where, "update agent_states set codec = null, value = null, digest = null where state_key = 'other'")
    with Store(where, clock=Clock()) as store:
        yield store


def test_no_reader_makes_up_what_was_erased(erased: Store) -> None:
    past = erased.at(2)
    readers: list[Callable[[], Any]] = [
        lambda: past.states.get(*K),
        lambda: past.states.entry(*K),
        lambda: past.states.items("a", "local"),
        lambda: erased.history.get(*K, version=1),
        lambda: erased.history.diff(*K, 1, 2),
        lambda: erased.history.revert(*K, version=1),
        lambda: erased.history.blame(*K),
        lambda: erased.history.bisect(*K, lambda value: value["secret"] == "x"),
        lambda: erased.undo(revision=3),
    ]
    for number, read in enumerate(readers):
        with pytest.raises(Erased):
            pytest.fail(f"reader {number} answered {read()!r}")


def test_what_an_erased_value_was_is_unavailable_to_those_who_list(erased: Store) -> None:
    [first, second, third, _] = erased.feed.changes()
    assert (first.new_value, second.new_value) == (UNAVAILABLE, UNAVAILABLE)
    assert (third.old_value, third.new_value) == (UNAVAILABLE, {"n": 2, "secret": "x"})
    assert erased.history.commit(1).changes[0].new_value is UNAVAILABLE
    assert [each.old_value for each in erased.history.changes(1, 3) if each.key == "k"] == [UNAVAILABLE]
    assert [each.version for each in erased.history.versions(*K)] == [2, 1]
    items = erased.at(2).states.items("a", "local", partial=True)
    assert (items, items.missing) == ([], (Address(*K), Address("a", "local", "other")))
    assert erased.at(2).states.keys("a", "local") == ["k", "other"]
    blame = erased.history.blame(*K, partial=True)
    assert (dict(blame), blame.missing) == ({}, ("/n", "/secret"))


def test_blame_of_a_past_whose_value_is_erased_says_so(where: str) -> None:
    with Store(where) as store:
        store.states.set(*K, {"n": 1})
        store.states.set(*K, {"n": 2})
    tamper(where, "update state_versions set codec = 4, value = null, data = null where revision = 1")
    with Store(where) as store, pytest.raises(Erased):
        pytest.fail(f"it blames {dict(store.at(1).history.blame(*K))!r:.60} (the leaf is {UNAVAILABLE})")


def test_bisect_across_a_deletion_that_is_the_oldest_kept(where: str) -> None:
    with Store(where) as store:
        store.states.set(*K, 1)
        store.states.set(*K, 5)  # it turned here
        store.states.delete(*K)
        store.states.set(*K, 6)
        whole = store.history.bisect(*K, lambda value: value >= 5)
        assert whole is not None
        assert whole.version == 2
    tamper(where, "update agent_states set floor = 3", "delete from state_versions where revision < 3")
    with Store(where) as store, pytest.raises(Compacted):
        pytest.fail(f"it turned at a version that is cut, not at {store.history.bisect(*K, lambda value: value >= 5)}")


@pytest.fixture
def bare(where: str) -> Iterator[Store]:
    """A store of one key that was cut below revision 4."""
    with Store(where) as store:
        for number in range(1, 7):
            store.states.set(*K, number)
    tamper(where, "update agent_states set floor = 4", "delete from state_versions where revision < 4")
    with Store(where) as store:
        yield store


def test_a_listing_over_a_pattern_names_what_was_cut(bare: Store) -> None:
    assert bare.history.versions(*K).missing == (Address(*K),)
    assert bare.history.versions("a", "local", "*").missing == (Address(*K),)


def test_a_listing_over_a_pattern_in_a_past_that_was_cut_is_no_silent_gap(bare: Store) -> None:
    with pytest.raises(Compacted):
        bare.at(2).history.versions(*K)
    try:
        found = bare.at(2).history.versions("a", "local", "*")
    except Compacted:
        return
    assert found.missing == (Address(*K),), "an empty list, and not a word that something was there"


def test_nothing_is_missing_above_the_floor(bare: Store) -> None:
    whole = bare.history.versions(*K, since=3)
    assert [version.revision for version in whole] == [6, 5, 4]
    assert whole.missing == (), "every version after revision 3 is there"


def test_of_several_cut_keys_the_highest_floor_is_told_and_all_are_named(where: str) -> None:
    with Store(where) as store:
        store.states.set_many("a", "local", {"x": 1, "y": 1})
    tamper(
        where,
        "update agent_states set floor = 7 where state_key = 'x'",
        "update agent_states set floor = 5 where state_key = 'y'",
    )
    with Store(where) as store, pytest.raises(Compacted, match=r"x .* and 1 more") as caught:
        store.at(0).states.keys("a", "local")
    assert caught.value.floor == 7
    assert caught.value.missing == (Address("a", "local", "x"), Address("a", "local", "y"))


def test_blame_needs_nothing_from_before_the_key_was_made_anew(where: str) -> None:
    with Store(where) as store:
        store.states.set(*K, 1)
        store.states.delete(*K)
        store.states.set(*K, 2)
    tamper(where, "update agent_states set floor = 3", "delete from state_versions where revision < 3")
    with Store(where) as store:
        assert store.history.blame(*K)[""].version == 3
