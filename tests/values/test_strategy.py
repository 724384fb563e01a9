from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given

from statedb import MISSING, InvalidValue
from statedb.values import strategy
from statedb.values.merge import Clash, merge
from statedb.values.same import same
from statedb.values.strategy import RULES, Rule, Settled, Synonym, of_key, settle
from tests.values.test_merge_laws import SIDES, sides


def pick(base: Any, ours: Any, theirs: Any) -> Any:
    return [base, ours, theirs]


# ---- what is said


@pytest.mark.parametrize(
    ("said", "stands", "meant"),
    [
        *((rule, side, rule) for rule in RULES for side in SIDES),
        *(("local_wins", side, "ours") for side in SIDES),
        *(("remote_wins", side, "theirs") for side in SIDES),
        ("first_writer_wins", "ours", "ours"),
        ("first_writer_wins", "theirs", "theirs"),
        ("last_writer_wins", "ours", "theirs"),
        ("last_writer_wins", "theirs", "ours"),
        (pick, "ours", pick),
    ],
)
def test_every_name_means_a_rule(said: Any, stands: Any, meant: Any) -> None:
    strategy.check(said, "on_conflict")
    assert of_key(said, "k", stands=stands, default="raise") == meant
    assert of_key({"k": said}, "k", stands=stands, default="raise") == meant


def test_the_rules_are_those_that_are_typed() -> None:
    assert set(RULES) == set(get_args(Rule))
    for name in get_args(Synonym):
        strategy.check(name, "strategy")


def test_of_patterns_the_first_that_matches_counts() -> None:
    said: Any = {"config/theme": "ours", "config/*": "first_writer_wins", "log/?": pick, "[ab]": "manual"}
    strategy.check(said, "strategy")

    def meant(key: str) -> Any:
        return of_key(said, key, stands="theirs", default="merge")

    assert meant("config/theme") == "ours"
    assert [meant(key) for key in ("config/themes", "config/", "config/a/b")] == ["theirs"] * 3
    assert meant("log/1") is pick
    assert [meant(key) for key in ("a", "b")] == ["manual"] * 2
    assert [meant(key) for key in ("log/12", "config", "c", "", "xlog/1")] == ["merge"] * 5
    assert of_key({"*": "ours", "a": "theirs"}, "a", stands="ours", default="raise") == "ours"
    assert of_key({}, "a", stands="ours", default="raise") == "raise"


async def later(*_: Any) -> Any: ...


@pytest.mark.parametrize(
    "wrong",
    [
        *("mine", "", "OURS", None, 5, True, b"ours", ["ours"], later),
        *({"a": "mine"}, {"a": None}, {"a": {"b": "ours"}}, {"": "ours"}, {1: "ours"}, {"a": later}),
    ],
)
def test_what_is_no_strategy_is_refused_and_told_what_is(wrong: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        strategy.check(wrong, "on_conflict")
    assert str(caught.value).startswith("on_conflict ")
    if "plain function" not in str(caught.value) and "pattern" not in str(caught.value):
        for name in (*RULES, *get_args(Synonym), "function", "dict"):
            assert name in str(caught.value)


# ---- what comes of it

BASE, OURS, THEIRS = {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 1}, {"a": 3, "b": 1, "c": 3}
CLASH = Clash("/a", "concurrent_modification", 1, 2, 3)


@pytest.mark.parametrize(
    ("how", "whole", "value", "method"),
    [
        ("ours", False, {"a": 2, "b": 2, "c": 3}, "ours"),
        ("theirs", False, {"a": 3, "b": 2, "c": 3}, "theirs"),
        ("ours", True, OURS, "ours"),
        ("theirs", True, THEIRS, "theirs"),
        (pick, False, [BASE, OURS, THEIRS], "function"),
        (pick, True, [BASE, OURS, THEIRS], "function"),
    ],
)
def test_a_rule_settles_places_in_a_merge_and_the_whole_in_a_write(
    how: Any, whole: bool, value: Any, method: str
) -> None:
    for side in SIDES:
        found = settle(how, BASE, OURS, THEIRS, stands=side, whole=whole)
        assert found == Settled(value, (), method)
        assert not found.requires_manual_review


@pytest.mark.parametrize("how", ["raise", "merge", "manual"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_left_open_leaves_standing_what_stands(how: Any, whole: bool) -> None:
    for side, stands in (("ours", OURS), ("theirs", THEIRS)):
        found = settle(how, BASE, OURS, THEIRS, stands=side, whole=whole)  # type: ignore[arg-type]
        assert found == Settled(stands, (CLASH,), how)
        assert found.requires_manual_review


@pytest.mark.parametrize(
    ("how", "whole", "value", "method"),
    [
        ("merge", False, {"a": 1, "b": 2, "c": 3}, "merge"),
        ("merge", True, {"a": 1, "b": 2, "c": 3}, "merge"),
        ("manual", False, {"a": 1, "b": 2, "c": 3}, "merge"),
        ("ours", False, {"a": 1, "b": 2, "c": 3}, "merge"),
        (pick, False, {"a": 1, "b": 2, "c": 3}, "merge"),
        ("ours", True, {"a": 1, "b": 2, "c": 1}, "ours"),
        (pick, True, [BASE, {"a": 1, "b": 2, "c": 1}, {"a": 1, "b": 1, "c": 3}], "function"),
    ],
)
def test_what_merges_needs_no_settling_but_in_a_write_that_says_otherwise(
    how: Any, whole: bool, value: Any, method: str
) -> None:
    ours, theirs = {"a": 1, "b": 2, "c": 1}, {"a": 1, "b": 1, "c": 3}
    assert settle(how, BASE, ours, theirs, stands="ours", whole=whole) == Settled(value, (), method)


@pytest.mark.parametrize(("how", "whole"), [("raise", False), ("raise", True), ("manual", True)])
def test_what_would_merge_but_may_not_clashes_as_a_whole(how: Any, whole: bool) -> None:
    ours, theirs = {"a": 1, "b": 2}, {"a": 1, "c": 3}
    found = settle(how, {"a": 1}, ours, theirs, stands="theirs", whole=whole)
    assert found.clashes == (Clash("", "concurrent_modification", {"a": 1}, ours, theirs),)
    assert found.value == theirs


def test_a_function_may_return_nothing_or_a_value_that_is_checked() -> None:
    assert settle(lambda *_: MISSING, 1, 2, 3, stands="ours", whole=False).value is MISSING
    assert settle(lambda base, ours, theirs: ours, MISSING, MISSING, 3, stands="ours", whole=True).value is MISSING


@given(sides())
def test_both_sides_the_same_leave_nothing_to_settle(three: tuple[Any, Any, Any]) -> None:
    base, x, _ = three
    for how in RULES:
        assert same(list(settle(how, base, x, x, stands="ours", whole=True)), [x, (), "merge"])


@given(sides())
def test_settled_by_a_side_is_the_merge_that_prefers_it(three: tuple[Any, Any, Any]) -> None:
    for side in SIDES:
        found = settle(side, *three, stands="ours", whole=False)
        assert same(found.value, merge(*three, prefer=side).value)
        assert not found.clashes
