from __future__ import annotations

import csv
import io

import pytest

from statedb import Store
from statedb.errors import Compacted
from statedb.models import Address
from statedb.values.row import Row, Rows
from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli, Program

KEYS = "select agent_id, state_key, version from states order by agent_id"


def test_a_query_prints_a_table(told: Cli) -> None:
    assert [line.split() for line in told.ok("query", KEYS).text.splitlines()] == [
        ["agent_id", "state_key", "version"],
        ["a", "prefs", "3"],
        ["b", "x\\u001b[2J", "1"],
    ]


def test_a_query_as_json_is_an_object_for_each_row(told: Cli) -> None:
    assert told.ok("query", KEYS, "--json").json == [
        {"agent_id": "a", "state_key": "prefs", "version": 3},
        {"agent_id": "b", "state_key": "x\x1b[2J", "version": 1},
    ]
    found = told.ok("query", "select 1.5 as x, null as y, x'00ff' as z, 'ü' as u", "--json").json
    assert found == [{"x": 1.5, "y": None, "z": {"bytes": "AP8="}, "u": "ü"}]


def test_an_infinity_which_json_lacks_is_null(told: Cli) -> None:
    sql = "select 1e999 as a, -1e999 as b, 1.5 as c"
    assert told.ok("query", sql, "--json").text == '[{"a":null,"b":null,"c":1.5}]\n'
    assert told.ok("query", sql, "--csv").text == "a,b,c\ninf,-inf,1.5\n"


def test_a_query_as_csv_is_read_back_as_it_was(told: Cli) -> None:
    text = told.ok("query", """select 'a,"b"' as "x,y", 'two' || char(10) || 'lines' as z, null, 7""", "--csv").text
    assert list(csv.reader(io.StringIO(text)))[1] == ['a,"b"', "two\nlines", "", "7"]
    assert text.startswith('"x,y",z,')
    assert told.ok("query", "select x'00ff' as z", "--csv").text == "z\nAP8=\n"


def test_parameters_are_text_or_json(told: Cli) -> None:
    assert told.ok("query", "select typeof(?) as t, ? as v", "3", "-4", "--json").json == [{"t": "text", "v": "-4"}]
    found = told.ok("query", "--json-params", "select ? as a, ? as b, ? as c", "-3", '"x"', "null", "--json").json
    assert found == [{"a": -3, "b": "x", "c": None}]
    assert "PARAM is not JSON" in told.wrong("query", "--json-params", "select ?", "dark")


def test_a_query_may_come_from_standard_input(told: Cli) -> None:
    assert told.ok("query", "-", "b", "--json", stdin=b"select version from states where agent_id = ?").json == [
        {"version": 1}
    ]
    assert "is not UTF-8" in told("query", "-", stdin=b"select '\xff'").line


def test_a_query_sees_the_past(told: Cli) -> None:
    value = "select value from states where state_key = 'prefs'"
    assert told.ok("query", value, "--at", "2", "--json").json == [{"value": '{"theme":"light"}'}]
    assert told.ok("query", value, "--at", "2023-11-14T22:13:20Z", "--json").json == [{"value": '{"theme":"dark"}'}]
    assert told.ok("query", value, "--at", "0", "--json").json == []
    assert "there is no checkpoint" in told.refused("query", value, "--at", "soon")


def test_part_of_an_answer_is_asked_for_and_what_is_missing_named(told: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(self: Store, sql: str, parameters: object, *, partial: bool = False) -> Rows:
        if not partial:
            raise Compacted("it has been cut", floor=1)
        return Rows([Row((1,))], ["x"], [Address("a", "local", "k")])

    monkeypatch.setattr(Store, "query", cut)
    assert told.refused("query", "select 1") == "it has been cut"
    ran = told("query", "select 1", "--partial", "--json")
    assert (ran.code, ran.json) == (0, [{"x": 1}])
    assert "k (local of a)" in ran.line


@pytest.mark.parametrize(
    "sql",
    ["delete from states", "select * from agents", "attach 'x' as y", "selec", "select 1; select 2", "", "vacuum"],
)
def test_what_a_query_may_not_do_is_refused_in_one_line(told: Cli, sql: str) -> None:
    assert told.refused("query", sql)
    assert told.ok("get", *PREFS).json == {"theme": "dark"}


def test_two_columns_of_one_name_make_no_object(told: Cli) -> None:
    assert "rename one with AS" in told.wrong("query", "select 1 as x, 2 as x", "--json")
    assert told.ok("query", "select 1 as x, 2 as x", "--csv").text == "x,x\n1,2\n"


def test_two_forms_at_once_are_wrong_usage(told: Cli) -> None:
    assert told.wrong("query", "select 1", "--csv", "--json")


def test_nothing_found_is_a_heading_alone(told: Cli) -> None:
    none = "select agent_id from states where agent_id = 'nobody'"
    assert told.ok("query", none).text.split() == ["agent_id"]
    assert told.ok("query", none, "--csv").text == "agent_id\n"
    assert told.ok("query", none, "--json").json == []


def test_a_terminal_gets_nothing_that_it_would_obey(program: Program) -> None:
    program("set", *PREFS, "1")
    for form in ((), ("--csv",), ("--json",)):
        terminal = program.on_a_terminal("query", "select char(155) || '2J' as \"x\x9b\"", *form)
        assert terminal.end() == 0
        assert "\x9b" not in terminal.shown
        assert "\\u009b2J" in terminal.shown


def test_a_long_answer_is_paged(program: Program) -> None:
    program("set", *PREFS, "1")
    program.env["STATEDB_PAGER"] = "echo PAGED; cat"
    many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 50) select i from n"
    terminal = program.on_a_terminal("query", many)
    assert terminal.end() == 0
    assert terminal.shown.startswith("PAGED\n")
