from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import Store
from statedb.values.same import same
from tests.cli.formats.test_filenames import NASTY, keys
from tests.cli.helpers import Cli, Program
from tests.strategies import json_values

OF = ("--format", "dir", "--agent", "a", "--type", "persistent")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def _fill(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def _bring(cli: Cli, folder: Path, *options: str) -> str:
    return cli.ok("import", str(folder), *OF, *options).text


def _items(where: str) -> list[tuple[str, Any]]:
    with Store(where) as store:
        assert store.health.check().ok
        return store.states.items("a", "persistent")


def _revision(where: str) -> int:
    with Store(where) as store:
        return store.transfer.head()


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


# ---- in


def test_each_file_becomes_a_key_all_in_one_commit(cli: Cli, folder: Path) -> None:
    _fill(folder, {"a.json": "1", "b/c.json": '\ufeff{"d": [1.0]}', "b/raw.bin": b"\0\xff", "b/.hidden.json": "null"})
    assert _bring(cli, folder, "-m", "all of it") == f"imported 4 keys from {folder}: 4 written\n"
    assert _items(cli.name) == [("a", 1), ("b/.hidden", None), ("b/c", {"d": [1.0]}), ("b/raw", b"\0\xff")]
    [commit] = cli.ok("log", "--json").json
    assert commit["message"] == "all of it"


def test_run_again_it_writes_what_changed_and_nothing_else(cli: Cli, folder: Path) -> None:
    _fill(folder, {"a.json": "1", "b.json": "1", "c.bin": b"1"})
    _bring(cli, folder)
    assert _bring(cli, folder) == f"imported 3 keys from {folder}: 0 written\n"
    assert _revision(cli.name) == 1
    _fill(folder, {"b.json": "1.0", "d.json": "2"})
    assert _bring(cli, folder) == f"imported 4 keys from {folder}: 2 written\n"
    assert _revision(cli.name) == 2


def test_what_stands_keeps_its_metadata_and_its_clock(cli: Cli, folder: Path) -> None:
    with Store(cli.name) as store:
        store.states.set("a", "session", "k", {"v": 1}, metadata={"src": "ui"}, ttl=3600)
        before = store.states.entry("a", "session", "k")
    _fill(folder, {"k.json": '{"v": 1}'})
    cli.ok("import", str(folder), "--format", "dir", "--agent", "a", "--type", "session")
    with Store(cli.name) as store:
        assert store.states.entry("a", "session", "k") == before


def test_prune_deletes_the_keys_without_a_file_of_that_agent_and_tier_alone(cli: Cli, folder: Path) -> None:
    for agent, tier, key in (("a", "persistent", "old"), ("a", "local", "old"), ("b", "persistent", "old")):
        cli.ok("set", agent, tier, key, "1")
    _fill(folder, {"a.json": "1"})
    _bring(cli, folder)
    assert [key for key, _ in _items(cli.name)] == ["a", "old"]
    assert _bring(cli, folder, "--prune") == f"imported 1 keys from {folder}: 0 written, 1 deleted\n"
    assert [key for key, _ in _items(cli.name)] == ["a"]
    assert cli.ok("keys", "a", "local").text == cli.ok("keys", "b", "persistent").text == "old\n"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"b.json": "{"}, "b.json: it is not JSON ("),
        ({"b.json": ""}, "b.json: it is not JSON ("),
        ({"b.json": "NaN"}, "b.json: it is not JSON ("),
        ({"b.json": b'"\xff"'}, "b.json: it is not JSON ("),
        ({"b.json": "[" * 195 + "]" * 195}, "b.json: at /0/0/"),
        ({"b.json": f'"{"x" * 400}"'}, "b.json: the value takes more than 400 bytes"),
        ({"b.bin": b"x" * 401}, "b.bin: the value takes more than 400 bytes"),
        ({"b.bin": b"x" * 501}, "b.bin: it is longer than 500 bytes"),
        ({"b.json": "1", "b.bin": b"1"}, "b.json: it holds the same key as b.bin"),
        ({"%62.json": "1", "b.json": "1"}, "b.json: it holds the same key as %62.json"),
        ({".json": "1"}, ".json: key has 0 bytes"),
        ({"%00.json": "1"}, "%00.json: key '\\x00' holds a NUL"),
        ({"%FF.json": "1"}, "%FF.json: its name is the code of no text"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_its_name_and_nothing_is_imported(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, Any], why: str
) -> None:
    monkeypatch.setenv("STATEDB_MAX_VALUE_BYTES", "400")
    monkeypatch.setattr("statedb.cli.formats.folder.LONGEST", 500)
    _fill(folder, {"a.json": "1", **files})
    said = cli.refused("import", str(folder), *OF)
    assert said.startswith(why)
    assert said.endswith("; nothing was imported")
    assert cli.untouched or _items(cli.name) == []


def test_a_name_that_is_no_text_is_refused(cli: Cli, folder: Path) -> None:
    try:
        (folder / os.fsdecode(b"\xff.json")).write_text("1")
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    assert "lone surrogate" in cli.refused("import", str(folder), *OF)


def test_other_files_are_named_and_passed_over(cli: Cli, folder: Path) -> None:
    _fill(folder, {"a.json": "1", "b.JSON": "1", "json": "1", "c.jsonl": "1", "d/e.txt": "1", "f": "1", "g": "1"})
    os.mkfifo(folder / "pipe.json")
    ran = cli("import", str(folder), *OF)
    assert ran.code == 0
    assert ran.line == "skipped 7 that are no key's file: b.JSON, c.jsonl, f, g, json, …"
    assert [key for key, _ in _items(cli.name)] == ["a"]


def test_a_link_is_followed_to_a_file_inside_and_nowhere_else(cli: Cli, folder: Path, tmp_path: Path) -> None:
    _fill(tmp_path, {"secret.json": "1", "out/x.json": "1", "folder-too/y.json": "1"})
    _fill(folder, {"in/a.json": "1"})
    for name, target in {
        "in/b.json": "a.json", "c.json": str(folder / "in" / "a.json"),
        "secret.json": str(tmp_path / "secret.json"), "up.json": "../secret.json", "too.json": "../folder-too/y.json",
        "out": str(tmp_path / "out"), "loop": str(folder), "gone.json": "nowhere",
    }.items():  # fmt: skip
        (folder / name).symlink_to(target)
    ran = cli("import", str(folder), *OF)
    assert ran.line.startswith("skipped 6 that are no key's file: gone.json, loop, out, secret.json, too.json, …")
    assert [key for key, _ in _items(cli.name)] == ["c", "in/a", "in/b"]
    (tmp_path / "link").symlink_to(folder)
    assert "0 written" in cli("import", str(tmp_path / "link"), *OF).text


def test_what_cannot_be_read_stops_everything(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("set", "a", "persistent", "in/b", "1")
    _fill(folder, {"a.json": "1", "in/b.json": "1"})
    scandir = os.scandir

    def closed(path: str) -> Any:
        if path.endswith("in"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert cli.refused("import", str(folder), *OF, "--prune") == f"Permission denied: {folder}/in"
    assert _items(cli.name) == [("in/b", 1)]


def test_a_folder_that_is_none_is_refused(cli: Cli, folder: Path) -> None:
    _fill(folder, {"a.json": "1"})
    assert "No such file" in cli.refused("import", str(folder / "nowhere"), *OF)
    assert "Not a directory" in cli.refused("import", str(folder / "a.json"), *OF)
    assert cli.refused("import", str(folder), "--format", "dir", "--agent", "", "--type", "local").startswith(
        "agent_id"
    )
    assert cli.untouched


# ---- out


def test_values_are_written_as_files_that_people_can_read(cli: Cli, folder: Path) -> None:
    with Store(cli.name) as store:
        store.states.set_many("a", "persistent", {"plan/one": {"é": [1, 1.0]}, "plan/raw": b"\xff", "rest": None})
        store.states.set_many("a", "local", {"other": 1})
    out = folder / "made" / "new"
    assert cli.ok("export", *OF, "--output", str(out), "--pattern", "plan/*").text == f"exported 2 keys to {out}\n"
    assert _names(out) == ["plan/one.json", "plan/raw.bin"]
    assert (out / "plan" / "one.json").read_text() == '{\n  "é": [\n    1,\n    1.0\n  ]\n}\n'
    assert (out / "plan" / "raw.bin").read_bytes() == b"\xff"


def test_values_are_written_as_they_were(cli: Cli, folder: Path) -> None:
    for value in ("1", "2"):
        cli.ok("set", "a", "persistent", "k", value)
    cli.ok("set", "a", "persistent", "later", "1")
    cli.ok("export", *OF, "--output", str(folder), "--at", "1")
    assert _names(folder) == ["k.json"]
    assert (folder / "k.json").read_text() == "1\n"
    assert "there is no checkpoint" in cli.refused("export", *OF, "--output", str(folder / "x"), "--at", "whenever")


def test_what_has_expired_is_not_written(cli: Cli, folder: Path) -> None:
    cli.ok("set", "a", "persistent", "k", "1", "--ttl", "0.000001")
    cli.ok("export", *OF, "--output", str(folder))
    assert _names(folder) == []


def test_a_folder_with_something_in_it_is_left_alone_unless_told(cli: Cli, folder: Path) -> None:
    cli.ok("set", "a", "persistent", "k", "1")
    _fill(folder, {"mine.txt": "1", "other.json": "1", "k.json": "old"})
    assert "is not empty; --overwrite" in cli.refused("export", *OF, "--output", str(folder))
    assert (folder / "k.json").read_text() == "old"
    cli.ok("export", *OF, "--output", str(folder), "--overwrite")
    assert (folder / "k.json").read_text() == "1\n"
    assert _names(folder) == ["k.json", "mine.txt", "other.json"]


@pytest.mark.parametrize("standing", ["k.bin", "%6B.json", "k%~2.json"])
def test_a_key_that_would_be_in_two_files_is_refused(cli: Cli, folder: Path, standing: str) -> None:
    cli.ok("set", "a", "persistent", "k", "1")
    _fill(folder, {standing: "1"})
    said = cli.refused("export", *OF, "--output", str(folder), "--overwrite")
    assert f"{standing} in {folder} holds the key k, which is to be written as k.json" in said
    assert _names(folder) == [standing]


def test_links_in_the_way_lead_nothing_out_of_the_folder(cli: Cli, folder: Path, tmp_path: Path) -> None:
    cli.ok("set", "a", "persistent", "in/k", "1")
    (tmp_path / "out").mkdir()
    (folder / "in").symlink_to(tmp_path / "out")
    assert "is no folder" in cli.refused("export", *OF, "--output", str(folder), "--overwrite")
    assert _names(tmp_path / "out") == []
    (folder / "in").unlink()
    _fill(tmp_path, {"mine.json": "mine"})
    _fill(folder, {"in/x": ""})
    (folder / "in" / "k.json").symlink_to(tmp_path / "mine.json")
    cli.ok("export", *OF, "--output", str(folder), "--overwrite")
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert not (folder / "in" / "k.json").is_symlink()


def test_the_store_itself_is_never_written_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEDB_DURABILITY", "normal")
    cli = Cli(folder / "store.bin")
    with Store(cli.name) as store:
        store.states.set("a", "persistent", "store", b"1")
    assert "is the store itself" in cli.wrong("export", *OF, "--output", str(folder), "--overwrite")
    assert _items(cli.name) == [("store", b"1")]


def test_a_file_that_cannot_be_written_leaves_no_part_of_itself(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("set", "a", "persistent", "k", "1")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left" in cli.refused("export", *OF, "--output", str(folder))
    assert _names(folder) == []


# ---- there and back


def _there_and_back(values: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        one, other = Cli(Path(place, "one.db")), Cli(Path(place, "other.db"))
        with Store(one.name, durability="normal") as store:
            store.states.set_many("a", "persistent", values)
        one.ok("export", *OF, "--output", f"{place}/root/out")
        assert sorted(os.listdir(place)) == ["one.db", "root"]
        assert os.listdir(f"{place}/root") == ["out"]
        other.ok("import", f"{place}/root/out", *OF)
        found, expected = _items(other.name), _items(one.name)
        assert [key for key, _ in found] == [key for key, _ in expected] == sorted(values)
        assert all(same(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))
        # 1,024 folders in each other are more than Python's own removal, which calls itself, comes through.
        subprocess.run(["rm", "-rf", f"{place}/root"], check=True)


@settings(max_examples=40)
@given(st.dictionaries(keys, json_values() | st.binary(max_size=20), max_size=6))
def test_any_keys_and_values_go_through_a_folder(values: dict[str, Any]) -> None:
    _there_and_back(values)


def test_nasty_keys_all_together_go_through_a_folder() -> None:
    _there_and_back({key: b"\0" if number % 3 == 0 else number for number, key in enumerate(NASTY)})


def test_hard_values_go_through_a_folder() -> None:
    deep: Any = 1
    for _ in range(192):
        deep = [deep]
    _there_and_back(
        {"deep": deep, "long": 10**4299, "floats": [1.0, -0.0, 5e-324, 1.7976931348623157e308], "none": None}
    )


def test_the_program_itself_goes_there_and_back(program: Program, folder: Path, tmp_path: Path) -> None:
    _fill(folder, {"a.json": '{"b": 1}', "é/c.json": "2", "x.bin": b"\xff"})
    assert program("import", str(folder), *OF).text == f"imported 3 keys from {folder}: 3 written\n"
    out = tmp_path / "out"
    assert program("export", *OF, "-o", str(out)).code == 0
    assert _names(out) == _names(folder)
    ran = program("import", str(tmp_path / "none"), *OF)
    assert (ran.code, ran.line) == (1, f"No such file or directory: {tmp_path / 'none'}")
