from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from statedb import Store
from statedb.cli.formats import batches
from tests.cli.helpers import Cli, lines
from tests.helpers import Clock
from tests.places import only_sqlite

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY = ("--agent", "a", "--type", "persistent", "--key", "k")
HEADER = {"statedb": "history", "format": 1}
START = 1_500_000_000


def _versions(count: int, start: int = START) -> bytes:
    return lines(*({"at": start + each, "value": {"n": each}} for each in range(count)))


def _values(where: str) -> list[Any]:
    with Store(where) as store:
        assert store.health.check().ok
        found = store.history.versions("a", "persistent", "k")
        return [store.history.get("a", "persistent", "k", each.version).value for each in reversed(found)]


# ---- import of versions


@pytest.mark.parametrize("name", ["v.jsonl", "v.jsonl.zst", "-"])
def test_every_line_becomes_a_version_with_its_time(cli: Cli, tmp_path: Path, name: str) -> None:
    text = _versions(450)
    (tmp_path / "v.jsonl").write_bytes(text)
    (tmp_path / "v.jsonl.zst").write_bytes(zstd.compress(text))
    file = name if name == "-" else str(tmp_path / name)
    assert cli.ok("import", file, *KEY, stdin=text).text == "imported 450 versions of k\n"
    assert _values(cli.name) == [{"n": each} for each in range(450)]
    newest, *_, oldest = cli.ok("history", "a", "persistent", "k", "--json").json
    assert (newest["version"], newest["at"], newest["origin_at"]) == (450, *["2017-07-14T02:47:29Z"] * 2)
    assert oldest["at"] == "2017-07-14T02:40:00Z"


def test_equal_values_are_versions_all_the_same(cli: Cli) -> None:
    cli.ok("import", "-", *KEY, stdin=lines(*[{"at": 1, "value": None}] * 3))
    assert _values(cli.name) == [None] * 3


def test_a_time_may_be_a_fraction_or_lie_before_1970(cli: Cli) -> None:
    cli.ok("import", "-", *KEY, stdin=lines({"at": -1.5, "value": 1}, {"at": 1.25, "value": 2}))
    found = cli.ok("history", "a", "persistent", "k", "--json").json
    assert [each["origin_at"] for each in found] == ["1970-01-01T00:00:01.250000Z", "1969-12-31T23:59:58.500000Z"]


def test_a_line_may_say_who_and_why_and_that_a_value_was_deleted(cli: Cli) -> None:
    told = [
        {"at": 1, "value": {"a": 1}, "by": "ann", "message": "first"},
        {"at": 2, "deleted": True, "by": None, "message": "away"},
        {"at": 3, "deleted": True, "message": "there is nothing to delete"},
        {"at": 4, "value": None, "deleted": False, "what else": "is passed over, as ever"},
    ]
    assert cli.ok("import", "-", *KEY, stdin=lines(*told)).text == "imported 3 versions of k\n"
    found = cli.ok("history", "a", "persistent", "k", "--json").json
    said = [(each["change"], each["by"], each["message"]) for each in found]
    assert said == [("create", None, None), ("delete", None, "away"), ("create", "ann", "first")]


def test_a_line_without_a_name_is_by_whoever_imports(cli: Cli) -> None:
    cli(
        "import",
        "-",
        *KEY,
        stdin=lines({"at": 1, "value": 1}, {"at": 2, "value": 2, "by": "x"}),
        options=("--actor", "me"),
    )
    assert [each["by"] for each in cli.ok("history", "a", "persistent", "k", "--json").json] == ["x", "me"]


def test_versions_older_than_the_store_keep_their_own_time_beside_the_commits(cli: Cli) -> None:
    cli.ok("set", "a", "local", "x", "1")
    ran = cli("import", "-", *KEY, stdin=_versions(1))
    assert ran.code == 0
    assert "1 of 1 versions could not be made at their own times" in ran.line
    assert "origin at" in cli.ok("history", "a", "persistent", "k").text
    [version] = cli.ok("history", "a", "persistent", "k", "--json").json
    assert version["origin_at"] == "2017-07-14T02:40:00Z"
    assert version["at"] > "2020"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "is not JSON"),
        (b"{'at': 1}", "is not JSON"),
        (b'{"at": 1, "value": NaN}', "is not JSON"),
        (b'{"at": 1, "value": 1e999}', "inf"),
        (b"[]", "is no version"),
        (b'{"at": 1}', "is no version"),
        (b'{"value": 1}', "is no version"),
        (b'{"at": "2020-01-01", "value": 1}', "no number of seconds"),
        (b'{"at": true, "value": 1}', "no number of seconds"),
        (b'{"at": 1e999, "value": 1}', "no number of seconds"),
        (b'{"at": 1700000000000, "value": 1}', "milliseconds"),
        (b'{"at": 1, "value": 1, "deleted": true}', "is no version"),
        (b'{"at": 1, "deleted": false}', "is no version"),
        (b'{"at": 1, "deleted": 1}', "neither true nor false"),
        (b'{"at": 1, "value": 1, "by": 5}', "'by' that is no text"),
        (b'{"at": 1, "value": 1, "message": ["x"]}', "'message' that is no text"),
    ],
)
def test_a_bad_line_is_named_and_its_batch_left_out(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, line: bytes, why: str
) -> None:
    monkeypatch.setattr(batches, "MOST_ITEMS", 2)
    said = cli.refused("import", "-", *KEY, stdin=_versions(3) + line + b"\n" + _versions(1))
    assert said.startswith("line 4")
    assert why in said
    assert said.endswith("; the first 2 are in the store")
    assert _values(cli.name) == [{"n": 0}, {"n": 1}]


def test_a_first_line_that_is_bad_leaves_no_store_behind(cli: Cli) -> None:
    assert cli.refused("import", "-", *KEY, stdin=b"nonsense").endswith("; nothing was imported")
    assert cli.untouched


def test_a_value_too_large_is_named_by_its_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEDB_MAX_VALUE_BYTES", "20")
    said = cli.refused("import", "-", *KEY, stdin=_versions(2) + lines({"at": START + 9, "value": "x" * 30}))
    assert said.startswith("line 3: the value takes more than 20 bytes")


def test_a_key_that_cannot_be_is_no_lines_fault(cli: Cli) -> None:
    said = cli.refused("import", "-", "--agent", "", "--type", "local", "--key", "k", stdin=_versions(1))
    assert said.startswith("agent_id has 0 bytes")


def test_part_of_a_key_is_wrong_usage(cli: Cli) -> None:
    assert "go together" in cli.wrong("import", "-", "--agent", "a", "--key", "k")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("import", "import --format jsonl needs FILE"),
        ("import x --prune", "import --format jsonl takes no --prune; that is for --format dir"),
        ("import x --repo .", "takes no --repo; that is for --format git"),
        ("import x -m y", "takes no --message; that is for --format dir"),
        ("import --format git", "import --format git needs --repo, --path, --agent, --type"),
        ("import x --format git", "import --format git takes no FILE; that is for --format jsonl or dir"),
        ("import --format git --repo . --path x --agent a", "import --format git needs --type"),
        ("import --format dir --agent a --type local", "import --format dir needs FILE"),
        ("import x --format dir --agent a --type local --key k", "takes no --key; that is for --format jsonl or git"),
        ("import x --format dir --agent a --type local --branch k", "takes no --branch; that is for --format git"),
        ("import x --format csv", "'csv' is not one of 'jsonl', 'git', 'dir'"),
        ("export --format git", "export does not write git; --format is jsonl or dir"),
        ("export --format dir", "export --format dir needs --output, --agent, --type"),
        ("export --format dir --agent a --type local -o -", "standard output is none"),
        ("export --agent a", "export --format jsonl takes no --agent; that is for --format dir"),
        ("export --overwrite", "takes no --overwrite; that is for --format dir"),
        ("export --pattern x", "takes no --pattern; that is for --format dir"),
    ],
)
def test_what_a_format_does_not_take_is_wrong_usage(cli: Cli, args: str, why: str) -> None:
    assert why in cli.wrong(*args.split())
    assert cli.untouched


def test_a_file_that_is_not_there_is_one_line_and_no_store(cli: Cli) -> None:
    assert cli.refused("import", "no such file", *KEY) == "No such file or directory: no such file"
    assert "Is a directory" in cli.refused("import", str(cli.path.parent), *KEY)
    assert cli.untouched


def test_an_empty_file_imports_nothing(cli: Cli) -> None:
    assert cli.ok("import", "-", *KEY, stdin=b"").text == "imported 0 versions of k\n"


# ---- export, and import of one


def _some_of_everything(where: str, clock: Clock) -> None:
    with Store(where, clock=clock, actor="ui") as store:
        call = store.agent("a").session("call", ttl=60)
        call.set("topic", "ünï ☃")
        store.states.set(
            "a", "persistent", "prefs", {"b": 1, "a": [1, 1.0, -0.0, None]}, message="m\n", metadata={"x": []}
        )
        store.states.set("a", "local", "raw", b"\x00\xff" * 10)
        store.states.set("a", "shared", "big", "x" * 100_000)
        store.states.set("a", "shared", "large number", 10**400)
        store.states.set("a", "session", "short", 1, ttl=5)
        clock.advance(1)
        store.states.touch("a", "session", "short", ttl=9)
        call.set("topic", None)
        store.states.delete("a", "local", "raw")
        with store.transaction(message="both", actor="broker", context={"ticket": 7}) as tx:
            tx.states.set("é \n*", "persistent", "k", 1)
            tx.states.delete("a", "shared", "big")
            tx.states.touch("a", "session", "short", ttl=3)
        store.history.revert("a", "persistent", "prefs", 1)
        store.history.revert("a", "local", "raw", 1)
        clock.advance(30)
        store.states.set("a", "session", "short", 2)
        clock.advance(100)
        call.set("other", 1)
        call.close()
        store.states.set("a", "local", "temporary", 1, ttl=1)
        clock.advance(2)
        store.retention.sweep()


def test_an_export_imported_elsewhere_exports_to_the_same_bytes(cli: Cli, elsewhere: Cli, clock: Clock) -> None:
    _some_of_everything(cli.name, clock)
    exported = cli.ok("export").out
    kinds = {from_json(line).get("kind") for line in exported.splitlines()}
    assert kinds == {None, "write", "touch", "expire"}
    elsewhere.ok("import", "-", stdin=exported)
    assert elsewhere.ok("export").out == exported
    with Store(cli.name, clock=clock) as one, Store(elsewhere.name, clock=clock) as other:
        assert other.health.check().ok
        for revision in range(one.transfer.head() + 1):
            for tier in ("local", "shared", "session", "persistent"):
                assert one.at(revision).states.items("a", tier) == other.at(revision).states.items("a", tier)


@pytest.mark.parametrize("seed", range(20))
def test_any_history_goes_through_an_export(cli: Cli, elsewhere: Cli, clock: Clock, seed: int) -> None:
    chance = random.Random(seed)
    with Store(cli.name, clock=clock, durability="normal") as store:
        for _ in range(60):
            _anything(store, clock, chance)
    exported = cli.ok("export").out
    elsewhere.ok("import", "-", stdin=exported)
    assert elsewhere.ok("export").out == exported
    with Store(elsewhere.name) as other:
        assert other.health.check().ok


def _anything(store: Store, clock: Clock, chance: random.Random) -> None:
    agent, tier = chance.choice("ab"), chance.choice(["local", "session", "persistent"])
    key, ttl = chance.choice(["k", "c/1", "c/2", "é"]), chance.choice([None, 3, 60])
    value: Any = chance.choice([1, 1.0, True, None, b"\xff", {"a": [{}]}, "t" * 20_000])
    session = store.agent(agent).session("c", ttl=ttl)
    match chance.randrange(9):
        case 0:
            store.states.delete(agent, tier, key)
        case 1:
            store.states.touch(agent, tier, key, ttl=ttl)
        case 2:
            session.set("1", value)
        case 3:
            session.close()
        case 4:
            clock.advance(chance.choice([0.000001, 2, 50, 90_000]))
        case 5:
            store.retention.sweep()
        case 6:
            with store.transaction(message="several", context={"n": 1}) as tx:
                tx.states.set(agent, "session", "c/2", value)
                tx.states.delete(agent, "session", "c/1")
                tx.states.set("b", tier, key, 0, ttl=ttl)
        case _:
            store.states.set(agent, tier, key, value, ttl=ttl, metadata=chance.choice([None, {"m": 1}]))


def test_an_export_begins_with_a_header_and_has_a_line_a_commit(cli: Cli) -> None:
    cli.ok("init")
    assert cli.ok("export").text == '{"statedb":"history","format":1}\n'
    cli.ok("set", "a", "local", "k", "1")
    header, record = map(from_json, cli.ok("export").out.splitlines())
    assert header == HEADER
    assert (record["revision"], record["changes"][0]["value"]) == (1, 1)


def test_an_export_goes_to_a_file_compressed_or_not(cli: Cli, elsewhere: Cli, tmp_path: Path) -> None:
    cli.ok("import", "-", *KEY, stdin=_versions(300))
    plain, packed = tmp_path / "out.jsonl", tmp_path / "out.jsonl.zst"
    assert cli.ok("export", "--output", str(plain)).text == f"exported 300 commits to {plain}\n"
    cli.ok("export", "-o", str(packed))
    assert zstd.decompress(packed.read_bytes()) == plain.read_bytes() == cli.ok("export", "-o", "-").out
    elsewhere.ok("import", str(packed))
    assert elsewhere.ok("export").out == plain.read_bytes()


@only_sqlite
@pytest.mark.parametrize("end", ["", "-wal"])
def test_an_export_never_writes_over_the_store(cli: Cli, end: str) -> None:
    cli.ok("set", "a", "local", "k", "1")
    (cli.path.parent / "link").symlink_to(cli.path.parent / f"{cli.path.name}{end}")
    assert "is the store itself" in cli.wrong("export", "-o", str(cli.path.parent / "link"))
    assert cli.ok("get", "a", "local", "k").json == 1


def test_an_export_that_cannot_be_written_is_refused_by_its_name(cli: Cli) -> None:
    cli.ok("init")
    assert cli.refused("export", "-o", "/no/such/folder/x") == "No such file or directory: /no/such/folder/x"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "line 1 is not the first line of an export"),
        (_versions(1), "--agent, --type, --key"),
        (lines([]), "line 1 is not the first line"),
        (lines({"statedb": "history", "format": 2}), "format 2, which this statedb does not know"),
        (lines(HEADER, []), "line 2 is no record"),
        (lines(HEADER, {}), "line 2: no record a store exported: Field required"),
        (lines(HEADER, {"at": 1, "kind": "write", "origin": "x"}), "line 2: no record a store"),
        (
            lines(HEADER, {"at": 1, "kind": "write", "origin": "x:1", "changes": [{}]}),
            "line 2: no record a store exported: ",
        ),
        (lines(HEADER) + b"{", "line 2 is not JSON"),
        (b"SQLite format 3\0", "line 1 is not JSON"),
    ],
)
def test_what_is_no_export_is_refused_and_leaves_nothing(cli: Cli, text: bytes, why: str) -> None:
    assert why in cli.refused("import", "-", stdin=text)
    assert cli.untouched or cli.ok("log", "--json").json == []


def test_a_bad_record_far_down_is_named_by_its_line(cli: Cli, elsewhere: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_ITEMS", 4)
    cli.ok("import", "-", *KEY, stdin=_versions(10))
    exported = cli.ok("export").out.splitlines(keepends=True)
    exported[7] = to_json(from_json(exported[7]) | {"changes": [{"agent": "a"}]}) + b"\n"
    said = elsewhere.refused("import", "-", stdin=b"".join(exported))
    assert said.startswith("line 8: ")
    assert said.endswith("; the first 4 are in the store")
    assert len(elsewhere.ok("log", "--json").json) == 4


def test_the_deepest_value_goes_through_an_export(cli: Cli, elsewhere: Cli) -> None:
    cli.ok("set", "a", "local", "k", "[" * 192 + "]" * 192)
    exported = cli.ok("export").out
    elsewhere.ok("import", "-", stdin=exported)
    assert elsewhere.ok("export").out == exported
