"""Opening: what is made, what is refused, and that what is refused is left alone."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from statedb import Corrupted, NotAStore, Settings, Store, StoreTooNew
from statedb.config import Options
from statedb.db import migrate
from statedb.db.sqlite.connection import APPLICATION_ID
from tests.helpers import SHELLS

NEWER = "update alembic_version set version_num = '9999'"


def test_the_first_open_makes_the_store_and_the_next_finds_it(tmp_path: Path) -> None:
    with Store(tmp_path / "app.db") as store:
        store.states.set("a", "local", "k", 1)
    with Store(str(tmp_path / "app.db")) as store:
        assert store.states.get("a", "local", "k") == 1


def test_a_url_and_a_path_name_the_same_store(tmp_path: Path) -> None:
    with Store(tmp_path / "app.db") as store:
        store.states.set("a", "local", "k", 1)
    with Store(f"sqlite:///{tmp_path}/app.db") as store:
        assert store.states.get("a", "local", "k") == 1


@pytest.mark.parametrize("name", ["with space.db", "q?mark=1.db", "#hash%20.db", "ünï.db", "quo'te.db"])
def test_any_file_name_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    with Store(tmp_path / name) as store:
        store.states.set("a", "local", "k", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("url", ["postgresql+asyncpg://localhost/x", "mysql+pymysql://h/x"])
def test_a_database_that_is_not_served_is_refused(url: str) -> None:
    with pytest.raises(NotAStore):
        Store(url)


HIDDEN = """
import asyncio, sys
for name in {missing!r}: sys.modules[name] = None
from statedb import AsyncStore, Store, StateDBError
from statedb.cli.app import app

async def opened():
    async with AsyncStore("postgresql+psycopg://h/d"): pass

for way in (lambda: Store("postgresql://h/d"), lambda: asyncio.run(opened())):
    try: way()
    except StateDBError as error: print(error)
Store(":memory:").close()
app(["-f", "postgresql://h/d", "log"])
"""


@pytest.mark.parametrize("missing", [("psycopg",), ("psycopg_pool",), ("greenlet",), ("psycopg", "psycopg_pool")])
def test_a_server_without_its_driver_says_what_to_install(missing: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", HIDDEN.format(missing=missing)], capture_output=True, text=True)
    said = "PostgreSQL needs statedb[postgres]: pip install 'statedb[postgres]'"
    if missing == ("greenlet",):  # only tasks need it
        assert said in done.stdout
    else:
        assert (done.stdout.count(said), done.returncode) == (2, 1)
        assert done.stderr.startswith(f"statedb: {said}")
        assert done.stderr.count("\n") == 1


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with Store(path) as store:
        assert store.health.check().ok


def _foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("create table mine (x)")
        raw.execute("create table alembic_version (version_num text)")
        raw.execute("insert into alembic_version values ('0002')")
    raw.close()


def _newer_store(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(NEWER)
    raw.close()


def _foreign_text(path: Path) -> None:
    path.write_text("a diary, not a database\n" * 100)


@pytest.mark.parametrize(
    ("make", "error"), [(_foreign_database, NotAStore), (_foreign_text, NotAStore), (_newer_store, StoreTooNew)]
)
def test_what_is_refused_is_not_touched(tmp_path: Path, make: object, error: type[Exception]) -> None:
    path = tmp_path / "x.db"
    make(path)  # type: ignore[operator]
    before = path.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(error):
        Store(path)
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == before


def test_a_newer_store_with_a_log_that_was_not_folded_in_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    Store(path).close()
    # A process that dies without closing leaves its writes in the log beside the file.
    script = f"import os, sqlite3; c = sqlite3.connect({str(path)!r}, isolation_level=None); c.execute({NEWER!r})"
    script += f"; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    subprocess.run([sys.executable, "-c", script], check=False)
    log = Path(f"{path}-wal")
    before = path.read_bytes(), log.read_bytes()
    assert before[1]
    with pytest.raises(StoreTooNew) as caught:
        Store(path)
    assert (caught.value.found, caught.value.known) == ("9999", migrate.HEAD)
    assert (path.read_bytes(), log.read_bytes()) == before


def test_a_folder_that_does_not_exist_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotAStore, match="folder"):
        Store(tmp_path / "no" / "such" / "folder.db")


def test_opening_a_current_store_does_not_import_alembic(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    Store(path).close()
    script = f"import sys; from statedb import Store; Store({str(path)!r}).close()"
    script += "; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_settings_come_from_the_environment_and_keywords_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEDB_ACTOR", "from-env")
    monkeypatch.setenv("STATEDB_DURABILITY", "normal")
    with Store(":memory:", durability="full") as store:
        assert (store.settings.actor, store.settings.durability) == ("from-env", "full")
        assert store.states.set("a", "local", "k", 1).created_by == "from-env"


@pytest.mark.parametrize("wrong", [{"durability": "some"}, {"busy_timeout": 0}, {"nonsense": 1}])
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Store(":memory:", **wrong)  # type: ignore[arg-type]


def test_the_typed_keywords_are_the_settings() -> None:
    assert set(Options.__annotations__) == set(Settings.model_fields)


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
def test_durability_is_what_sqlite_is_told(tmp_path: Path, durability: str, level: int) -> None:
    with Store(tmp_path / "a.db", durability=durability) as store:  # type: ignore[arg-type]
        writer = store._engine._pool.writer  # type: ignore[attr-defined]
        assert writer.raw.execute("pragma synchronous").fetchall() == [(level,)]
        assert writer.raw.execute("pragma journal_mode").fetchall() == [("wal",)]


def test_a_file_that_cannot_be_written_is_an_error_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    Store(path).close()
    script = (
        "import os, sys; from statedb import Store, StateDBError\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try:\n"
        f"    with Store({str(path)!r}) as s: s.states.set('a', 'local', 'k', 1)\n"
        "except StateDBError as e: print(type(e).__name__)\n"
    )
    os.chmod(tmp_path, 0o555)
    os.chmod(path, 0o444)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    os.chmod(tmp_path, 0o755)
    assert done.stdout.strip() in ("ReadOnly", "NotAStore"), done.stderr


@pytest.mark.parametrize("script", ["create table t (x)", "create table alembic_version (version_num text)"])
def test_a_store_that_does_not_tell_its_schema_is_corrupted(tmp_path: Path, script: str) -> None:
    raw = sqlite3.connect(tmp_path / "x.db")
    raw.executescript(f"pragma application_id={APPLICATION_ID}; {script}")
    raw.close()
    with pytest.raises(Corrupted):
        Store(tmp_path / "x.db")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_store_stays_the_one_that_was_opened_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        Store(folder / "app.db").close()
    monkeypatch.chdir(here)
    store = SHELLS[shell]("app.db")
    monkeypatch.chdir(there)
    for value in ("x" * 10_000, "y" * 10_000):
        with Store(here / "app.db") as other:
            other.states.set("a", "shared", "k", value)
        assert [store.states.get("a", "shared", "k") for _ in range(3)] == [value] * 3
    store.close()


def test_a_file_that_is_gone_when_a_reader_is_opened_is_an_error_of_the_library(tmp_path: Path) -> None:
    with Store(tmp_path / "app.db") as store:
        os.rename(tmp_path / "app.db", tmp_path / "away.db")
        for read in (
            lambda: store.states.get("a", "shared", "k"),
            lambda: store.states.keys("a", "shared"),
            lambda: store.query("select 1 as one"),
        ):
            with pytest.raises(NotAStore):
                read()
        os.rename(tmp_path / "away.db", tmp_path / "app.db")
        assert store.states.get("a", "shared", "k") is None
