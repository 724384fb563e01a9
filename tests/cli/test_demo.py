from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from statedb import Store
from statedb.cli import demo
from tests.cli.helpers import Cli, Program, Ran


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "kept"


@pytest.fixture(scope="module")
def told(folder: Path) -> Ran:
    return Program(folder)("demo", "--keep", str(folder))


def test_the_story_is_told_to_its_end(told: Ran) -> None:
    assert (told.code, told.err) == (0, "")
    for step in demo.STORY:
        assert str(step.__doc__) in told.text
    assert "no problems" in told.text


def test_what_the_story_shows_is_what_the_store_holds(told: Ran, folder: Path) -> None:
    path = folder / "team.db"
    with Store(path) as store:
        steps = store.states.get("team", "shared", "steps")
        assert f"\n  → {steps}\n" in told.text
        assert store.states.get("team", "shared", "plan") == {"where": "Lisbon", "budget": 1200, "date": "9 May"}
        assert store.states.get("ada", "persistent", "profile") == {"name": "ada", "allergies": ["nuts"]}
        writers = {each.by for each in store.history.versions("team", "shared", "steps")}
        assert writers == {"ada", "ben"}
        health = store.health.check()
        assert f"{health.commits:,} commits, {health.versions:,} versions, no problems" in told.text
    figures = re.search(r"([\d,]+) bytes of values were written.* the file has ([\d,]+) bytes", told.text)
    assert figures is not None
    written, size = (int(figure.replace(",", "")) for figure in figures.groups())
    assert size == path.stat().st_size
    assert written > size


def test_the_conflict_and_the_merge_are_real(told: Ran) -> None:
    assert "→ VersionConflict: plan (shared of team) is at version 2, and version 1 was expected" in told.text
    assert '{"where":"Lisbon","budget":1200,"date":"9 May"}' in told.text


def test_the_code_shown_is_the_code_that_ran(told: Ran) -> None:
    for line in ("store.health.check()", 'store.at(mistake - 1).states.get("ada", "persistent", "profile")'):
        assert f"\n  {line}\n" in told.text


def test_a_story_that_is_kept_is_not_written_over(told: Ran, folder: Path, cli: Cli) -> None:
    assert told.code == 0
    ran = cli.bare("demo", "--keep", str(folder))
    assert ran.code == 1
    assert "give another folder" in ran.line


def test_the_story_leaves_nothing_behind_and_is_short(program: Program, tmp_path: Path) -> None:
    program.env["TMPDIR"] = str(tmp_path)
    started = time.monotonic()
    ran = program("demo")
    assert ran.code == 0
    assert time.monotonic() - started < 30
    assert len(ran.text.splitlines()) < 100
    assert list(tmp_path.iterdir()) == []
    assert "\x1b" not in ran.text
