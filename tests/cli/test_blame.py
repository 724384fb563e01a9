from __future__ import annotations

import pytest

from statedb import Store
from statedb.errors import Compacted
from statedb.models import Blame
from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli


@pytest.fixture
def written(cli: Cli) -> Cli:
    values = [{"z": 1, "a": {"b": [1, 2]}, "e": {}}, {"z": 1, "a": {"b": [1, 3]}, "e": {}, "t": "\x1b"}]
    for name, value in zip(("ada", "ben"), values, strict=True):
        with Store(cli.name, actor=name) as store:
            store.states.set(*PREFS, value, message=f"by {name}")
    return cli


def test_blame_has_a_line_for_each_leaf_in_the_order_of_the_value(written: Cli) -> None:
    head, *rows = [line.split() for line in written.ok("blame", *PREFS).text.splitlines()]
    assert head == ["revision", "version", "at", "by", "pointer", "value"]
    assert [(row[0], row[1], *row[4:]) for row in rows] == [
        ("1", "1", "ada", "/z", "1"),
        ("1", "1", "ada", "/a/b/0", "1"),
        ("2", "2", "ben", "/a/b/1", "3"),
        ("1", "1", "ada", "/e", "{}"),
        ("2", "2", "ben", "/t", '"\\u001b"'),
    ]


def test_blame_as_json_has_the_versions(written: Cli) -> None:
    found = written.ok("blame", *PREFS, "--json").json
    assert [(each["pointer"], each["value"], each["version"]["message"]) for each in found][:3] == [
        ("/z", 1, "by ada"),
        ("/a/b/0", 1, "by ada"),
        ("/a/b/1", 3, "by ben"),
    ]


def test_blame_of_the_past_names_who_had_set_it_by_then(written: Cli) -> None:
    found = written.ok("blame", *PREFS, "--at", "1", "--json").json
    assert [(each["pointer"], each["version"]["by"]) for each in found if each["pointer"] == "/a/b/1"] == [
        ("/a/b/1", "ada")
    ]


def test_a_value_without_parts_is_one_leaf(cli: Cli) -> None:
    cli.ok("set", "a", "local", "k", "x", "--bytes")
    assert "(the value)  1 bytes" in cli.ok("blame", "a", "local", "k").text
    [leaf] = cli.ok("blame", "a", "local", "k", "--json").json
    assert (leaf["pointer"], leaf["value"]) == ("", {"bytes": "eA=="})


def test_blame_of_no_value_is_refused(written: Cli) -> None:
    written.ok("delete", *PREFS)
    assert written.refused("blame", *PREFS) == "prefs (persistent of a) has no value"
    assert written.ok("blame", *PREFS, "--at", "2").code == 0


def test_what_retention_has_cut_is_named_where_part_is_enough(written: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from statedb.surface import History

    def cut(*_: object, partial: bool = False) -> Blame:
        if not partial:
            raise Compacted("it has been cut", floor=1)
        return Blame({}, ("/z", "/a/b/0", "/a/b/1", "/e", "/t"))

    monkeypatch.setattr(History, "blame", lambda self, *args, **kwargs: cut(*args, **kwargs))
    assert written.refused("blame", *PREFS) == "it has been cut"
    found = written.ok("blame", *PREFS, "--partial", "--json").json
    assert (found[0]["pointer"], found[0]["version"]) == ("/z", None)
    assert written.ok("blame", *PREFS, "--partial").text.splitlines()[1].split() == ["/z", "1"]
