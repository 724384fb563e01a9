"""Stores on a server, named by a URL: the commands say of them what they say of a file, and never a password."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from statedb import NotAStore, Settings, Store
from statedb.cli.commands import COMMANDS
from statedb.db import migrate, peek
from statedb.db.location import place_of
from statedb.db.postgres.opening import create_at
from statedb.db.postgres.site import Site
from tests.cli.helpers import Cli, Ran, lines
from tests.cli.test_completion import question
from tests.helpers import HANG
from tests.places import bare_place, raw
from tests.postgres import SCHEMA, connect

SECRET = "s3cret/word"
PREFS, PLAN = ("a", "persistent", "prefs"), ("a", "plan")


@pytest.fixture(params=["postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a store, named with a password that the server does not ask for."""
    with bare_place(request.param, tmp_path) as where:
        yield make_url(where).set(password=SECRET).render_as_string(hide_password=False)


@pytest.fixture
def server(url: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run commands on a store on the server, in this process."""
    monkeypatch.delenv("STATEDB_URL", raising=False)
    monkeypatch.setenv("STATEDB_DURABILITY", "normal")
    return Cli(path, url)


def shown(url: str) -> str:
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=True)


def schemas(url: str) -> set[str]:
    with closing(connect(url)) as link:
        return {name for (name,) in link.execute("select nspname from pg_namespace")}


def without_moments(ran: Ran, cli: Cli, folder: Path) -> tuple[int, str, str]:
    """Return what a command left behind, without what differs from one store to the next."""

    def masked(text: str) -> str:
        text = text.replace(shown(cli.name) if "://" in cli.name else cli.name, "STORE").replace(str(folder), "FOLDER")
        text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME", text)
        text = re.sub(r"(size\"?:? *)[\d,]+( bytes)?", r"\1SIZE", text)
        return re.sub(r'"(hash|origin|at|\w+_at|event_id)":"?[^",}]+"?', r'"\1":X', re.sub(" +", " ", text))

    return ran.code, masked(ran.text), masked(ran.err)


def everything(cli: Cli, folder: Path) -> list[tuple[str, tuple[int, str, str]]]:
    """Run every command, in the good and in the bad, and return what each said."""
    folder.mkdir()
    (folder / "in").mkdir()
    (folder / "in" / "k.json").write_text("[1]")
    (folder / "versions.jsonl").write_bytes(lines(*({"at": 1e9 + n, "value": {"n": n}} for n in range(600))))
    said = []

    def run(*args: str, stdin: bytes | None = None) -> None:
        ran = cli(*args, stdin=stdin)
        said.append((" ".join(args).replace(str(folder), "FOLDER"), without_moments(ran, cli, folder)))

    run("get", *PREFS)
    run("stats")
    run("init")
    run("init")
    run("migrate")
    run("get", *PREFS)
    run("set", *PREFS, '{"theme": "dark", "n": 1}', "-m", "first")
    run("set", *PREFS, "-", "--ttl", "3600", stdin=b'{"theme": "light", "n": 1}')
    run("set", *PREFS, "1", "--expect", "1")
    run("set", "a", "session", "call/1", '"hello"')
    run("set", "b", "shared", "k", "[1,2,3]")
    run("delete", "b", "shared", "k")
    run("delete", "b", "shared", "k")
    run("get", *PREFS)
    run("get", *PREFS, "--json", "--at", "1")
    run("keys", "a", "persistent", "p*")
    run("query", "select state_key, value ->> '$.theme' from states where agent_id = ? order by 1", "a")
    run("query", "select version, change from history where state_key = 'prefs' order by 1", "--json")
    run("history", *PREFS)
    run("history", "a", "persistent", "*", "--json", "--limit", "1")
    run("show", *PREFS, "--version", "1")
    run("show", "1")
    run("show", "999")
    run("at", "1", *PREFS)
    run("at", "5 minutes ago", *PREFS)
    run("diff", *PREFS, "1", "2")
    run("diff", "--from", "1", "--to", "4")
    run("blame", *PREFS)
    run("bisect", *PREFS, '/theme == "light"')
    run("bisect", *PREFS, "--run", "grep", "-q", "light")
    run("log", "--graph")
    run("log", "--oneline", "--agent", "a")
    run("undo", "2")
    run("undo", "1")
    run("revert", *PREFS, "1")
    run("import", str(folder / "versions.jsonl"), "--agent", "a", "--type", "persistent", "--key", "n")
    run("import", "--format", "dir", str(folder / "in"), "--agent", "d", "--type", "local")
    run("export", "--format", "dir", "--output", str(folder / "out"), "--agent", "d", "--type", "local")
    run("export", "--output", str(folder / "all.jsonl"))
    run("import", str(folder / "all.jsonl"))
    run("checkpoint", "create", "mark")
    run("checkpoint", "list")
    run("checkpoint", "show", "mark", "--json")
    run("checkpoint", "diff", "mark")
    run("set", *PREFS, "7")
    run("restore", "mark", "--dry-run")
    run("restore", "mark", "--yes")
    run("checkpoint", "export", "mark", "--agent", "d")
    run("checkpoint", "load", "-", stdin=b"{}")
    run("checkpoint", "configure", "a", "--every", "30m", "--key", "x")
    run("checkpoint", "signal", "a", "manual")
    run("checkpoint", "run-due")
    run("checkpoint", "delete", "mark")
    run("branch", "create", "lab")
    run("branch", "list")
    run("branch", "diff", "lab")
    run("-b", "lab", "set", *PREFS, "8")
    run("set", *PREFS, "9")
    run("merge", "lab")
    run("merge", "lab", "-s", "manual")
    run("conflicts", "list")
    run("conflicts", "show", "1")
    run("conflicts", "resolve", "1", "-s", "theirs")
    run("log", "--graph", "--limit", "5")
    run("branch", "delete", "lab")
    run("lock", "acquire", *PLAN, "--owner", "me")
    run("lock", "acquire", *PLAN)
    run("lock", "list", "--json")
    run("lock", "renew", "1")
    run("set", "a", "shared", "plan", "1")
    run("set", "a", "shared", "plan", "1", "--fence", "1")
    run("delete", "a", "shared", "plan", "--fence", "1")
    run("lock", "release", "1")
    run("lock", "release", "1")
    run("lock", "run", *PLAN, "--", "sh", "-c", "exit $STATEDB_FENCE")
    run("stream", "append", "order-7", "placed", "1", "--id", "e1")
    run("stream", "append", "order-7", "paid", "2", "--expect", "0")
    run("stream", "read", "order-7", "--json")
    run("stream", "read")
    run("stream", "list")
    run("stream", "watch", "--from", "1", "--timeout", "0")
    run("stream", "snapshot", "save", "order-7", "1", "[]")
    run("stream", "snapshot", "show", "order-7")
    run("watch", "--since", "1", "--timeout", "0")
    run("watch", "--locks", "--since", "0", "--timeout", "0", "--json")
    run("consumer", "list")
    run("consumer", "delete", "indexer")
    run("keeper", "--once")
    run("stats")
    run("stats", "--json")
    return said


def test_every_command_does_on_a_server_what_it_does_on_a_file(server: Cli, tmp_path: Path) -> None:
    on_a_file = everything(Cli(tmp_path / "file.db"), tmp_path / "one")
    on_a_server = everything(server, tmp_path / "two")
    for there, here in zip(on_a_file, on_a_server, strict=True):
        assert here == there
    used = {each.name for each in COMMANDS for line, _ in on_a_server if f"{line} ".startswith(f"{each.name} ")}
    assert used == {command.name for command in COMMANDS} - {"demo"}  # whose store is a file of its own
    assert (tmp_path / "one/out/k.json").read_bytes() == (tmp_path / "two/out/k.json").read_bytes()


def test_an_export_moves_a_store_from_a_file_to_a_server_and_back(server: Cli, told: Cli, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first.jsonl"), str(tmp_path / "second.jsonl")
    told.ok("export", "--output", first)
    server.ok("import", first)
    server.ok("export", "--output", second)
    back = Cli(tmp_path / "back.db")
    back.ok("import", second)
    assert told.ok("log", "--json", "-p").json == server.ok("log", "--json", "-p").json
    assert back.ok("log", "--json", "-p").json == server.ok("log", "--json", "-p").json


def test_what_reads_makes_no_store(server: Cli) -> None:
    for args in [("get", *PREFS), ("log",), ("stats",), ("export",), ("query", "select 1"), ("undo", "1")]:
        assert server.refused(*args).startswith(f"there is no store at {shown(server.name)}; ")
    assert SCHEMA not in schemas(server.name)


def test_a_password_behind_the_question_mark_is_hidden_too(server: Cli) -> None:
    asked = make_url(server.name).update_query_dict({"password": SECRET}).render_as_string(hide_password=False)
    line = Cli(server.path, asked).refused("log")
    assert "there is no store at " in line
    assert "s3cret" not in line


def test_the_environment_names_the_store_and_its_schema(server: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEDB_URL", server.name)
    assert server.bare("set", *PREFS, "1").code == 0
    monkeypatch.setenv("STATEDB_POSTGRES_SCHEMA", "Another_1")
    assert "no store" in server.bare("get", *PREFS).line
    assert server.bare("set", *PREFS, "2").code == 0
    assert {"Another_1", SCHEMA} <= schemas(server.name)
    monkeypatch.delenv("STATEDB_POSTGRES_SCHEMA")
    assert server.bare("get", *PREFS).text == "1\n"


def test_migrate_tells_from_what_to_what(server: Cli) -> None:
    create_at(Site(place_of(server.name), Settings()), "0001")
    assert server.ok("migrate").text == f"{shown(server.name)}: from schema 0001 to {migrate.HEAD}\n"
    assert server.ok("migrate").text == f"{shown(server.name)} has schema {migrate.HEAD} already\n"


@pytest.mark.parametrize("args", [("migrate",), ("init",), ("log",), ("set", *PREFS, "1")])
def test_a_store_too_new_is_refused_and_not_touched(server: Cli, args: tuple[str, ...]) -> None:
    server.ok("init")
    raw(server.name, "update alembic_version set version_num = '9999'")
    assert "has schema 9999" in server.refused(*args)
    assert raw(server.name, "select count(*) from state_commits") == [(0,)]


@pytest.mark.parametrize("args", [("migrate",), ("init",), ("log",), ("set", *PREFS, "1")])
def test_another_programs_schema_is_left_alone(server: Cli, args: tuple[str, ...]) -> None:
    with closing(connect(server.name)) as link:
        link.execute(f"create schema {SCHEMA}; create table {SCHEMA}.theirs (id int)")
        assert "holds tables of something else" in server.refused(*args)
        found = link.execute("select tablename from pg_tables where schemaname = %s", [SCHEMA]).fetchall()
    assert found == [("theirs",)]


# ---- what is never said


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:1/app",
        f"postgresql://ann:{SECRET}@/app?host=/nowhere",
        f"postgresql+psycopg://ann@127.0.0.1:1/app?password={SECRET}",
        f"postgresql+psycopg://ann:{SECRET}@no.such.host.invalid/app",
        f"postgresql+psycopg://ann:x@{SECRET[:6]}@host/app",
        f"postgresql+psycopg://ann:{SECRET}@host:port/app",
        f"postgresql+asyncpg://ann:{SECRET}@host/app",
        f"oracle://ann:{SECRET}@host/app",
        f"://ann:{SECRET}@host/app",
    ],
)
@pytest.mark.parametrize("command", ["init", "migrate", "log", "stats"])
def test_no_message_tells_a_password(url: str, command: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEDB_BUSY_TIMEOUT", "2")
    ran = Cli(path, url)(command)
    assert (ran.code, ran.out) == (1, b"")
    assert SECRET not in ran.line
    assert SECRET.split("/")[0] not in ran.line


@pytest.mark.parametrize("where", ["postgresql://u:p@h:port/d", "postgresql://u:p@w@h/d"])
def test_a_url_that_is_none_is_not_a_store(where: str) -> None:
    with pytest.raises(NotAStore):
        Store(where)


# ---- completion


def offered(cli: Cli, line: str) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ({"STATEDB_URL": cli.name} | question(line)).items():
            patch.setenv(name, value)
        ran = cli.bare()
    assert (ran.code, ran.err) == (0, "")
    return ran.text.split()


def test_agents_and_keys_of_a_server_are_offered(server: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statedb.db.postgres.peek._PATIENCE", HANG)
    with Store(server.name) as store:
        store.states.set_many("agent-1", "persistent", {"prefs": 1, "plan": 2, "Über": 3, "$(rm)": 4})
        store.states.set("agent-2", "local", "k", 1)
        store.states.set("bob", "local", "gone", 1)
        store.states.delete("bob", "local", "gone")
    assert offered(server, "statedb get a") == ["agent-1", "agent-2"]
    assert offered(server, "statedb get agent-1 persistent p") == ["plan", "prefs"]
    assert offered(server, "statedb get agent-1 persistent ") == ["plan", "prefs", "Über"]
    assert offered(server, "statedb get bob local ") == []
    raw(server.name, "update alembic_version set version_num = '9999'")
    assert offered(server, "statedb get a") == []


def test_where_no_store_is_nothing_is_offered_and_nothing_made(server: Cli) -> None:
    assert offered(server, "statedb get ") == []
    assert SCHEMA not in schemas(server.name)


def test_a_server_that_does_not_answer_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes every call and never says a word
        host, port = silent.getsockname()
        url = f"postgresql+psycopg://ann@{host}:{port}/app"
        with pytest.raises(TimeoutError):
            peek.agents(place_of(url), Settings(), "", 10)
        monkeypatch.setattr("statedb.db.postgres.peek._PATIENCE", 0.01)
        assert offered(Cli(path, url), "statedb get ") == []
