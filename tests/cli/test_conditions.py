from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from statedb.cli.conditions import condition
from statedb.cli.exits import Usage
from statedb.values import pointer
from tests.strategies import json_values

VALUE = {
    "theme": "dark",
    "size": 12,
    "tags": ["x", "y"],
    "on": True,
    "off": False,
    "zero": 0,
    "empty": "",
    "none": None,
    "a b": 1,
    "a/b": 2,
    "<": 3,
    "deep": {"list": [{"x": 1.0}]},
    "": 4,
}


HOLDS = """
/theme == "dark"
/theme=="dark"
  /theme  ==  "dark"
/size > 10
/size>=12
/size <= 12
/size < 12.5
/size != 13
/size != "12"
/tags
/tags == ["x", "y"]
/tags/1 == "y"
/tags/9 != "y"
/on
/on == true
/off == false
/off != true
/zero
/zero == 0
/zero == -0.0
/empty
/none == null
/nope != null
/nope != 1
"/a b" == 1
/a~1b == 2
"/<" == 3
/deep/list/0/x == 1
/deep == {"list":[{"x":1}]}
/ == 4
/theme < "e"
/theme > "DARK"
"" != null
"""

FAILS = """
/theme == "light"
/size > 12
/size > "1"
/size == "12"
/nope
/nope == null
/nope == 1
/nope < 1
/off
/none
/none < 1
/theme > 1
/theme/0
/on > 0
/on == 1
/tags > 1
/tags/2
/tags/-
/tags/01
/tags/x
/tags/99999999999999999999
"""


@pytest.mark.parametrize("text", HOLDS.strip("\n").splitlines())
def test_a_condition_that_holds(text: str) -> None:
    assert condition(text)(VALUE) is True


@pytest.mark.parametrize("text", FAILS.strip("\n").splitlines())
def test_a_condition_that_does_not_hold(text: str) -> None:
    assert condition(text)(VALUE) is False


@pytest.mark.parametrize("value", [b"\x00", 5, "text", None, [], True])
def test_a_condition_may_be_asked_of_any_value(value: Any) -> None:
    for text in ("/a", "/a == 1", "/a < 1", "/a != 1", "== 5", "< 5", "/0"):
        assert condition(text)(value) in (True, False)
    assert condition("== 5")(value) is (value == 5)


NONE = """
theme
theme == 1
/theme = 1
/theme ==
/theme == dark
/a b
/a == 1 and /b
1 == 1
/~2
/a == NaN
/a === 1
/a <> 1
"/a == 1
/a == 1 2
__import__('os')
/a; ls
#/a
"""


@pytest.mark.parametrize("text", ["", " ", *NONE.strip("\n").splitlines()])
def test_what_is_no_condition_is_wrong_usage(text: str) -> None:
    with pytest.raises(Usage):
        condition(text)


@given(st.dictionaries(st.text(max_size=5), json_values(), min_size=1, max_size=3))
def test_whatever_stands_at_a_place_equals_itself(value: dict[str, Any]) -> None:
    for name, member in value.items():
        place = to_json(pointer.render([name])).decode()
        assert condition(f"{place} == {to_json(member).decode()}")(value)
        assert not condition(f"{place} != {to_json(member).decode()}")(value)
        assert condition(place)(value) is (member is not None and member is not False)


@pytest.mark.parametrize("text", ["/a" + " " * 100_000 + "b", "/a ==" + " " * 100_000, '"' + "\\a" * 50_000])
def test_a_long_text_is_read_in_no_time(text: str) -> None:
    with pytest.raises(Usage):
        condition(text)
