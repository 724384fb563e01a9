from __future__ import annotations

from datetime import UTC, datetime

from pydantic_core import from_json, to_json

from statedb.cli.forms import form, member, plain
from statedb.cli.terminal.marks import change_lines
from statedb.cli.terminal.output import brief
from statedb.models import UNAVAILABLE, Difference, StateType


def test_what_json_cannot_hold_stands_under_a_name_that_says_so() -> None:
    assert member("value", {"a": 1}) == ("value", {"a": 1})
    assert member("old_value", b"\x00") == ("old_bytes", "AA==")
    assert member("new_value", UNAVAILABLE) == ("new_erased", True)
    assert plain(b"\x00") == {"bytes": "AA=="}
    assert plain(None) is None


def test_an_erased_value_is_told_from_none() -> None:
    found = Difference(
        "a", StateType.LOCAL, "k", "update", UNAVAILABLE, 1, 2, 9, datetime(2026, 1, 1, tzinfo=UTC), None
    )
    told = from_json(to_json(form(found)))
    assert told["old_erased"] is True
    assert told["new_value"] == 1
    assert brief(UNAVAILABLE) == "erased"
    [line] = change_lines(found)
    assert "".join(part for part, _ in line) == "~ a/local/k: erased → 1"
