"""Long output on a terminal, with real pagers on real terminals."""

from __future__ import annotations

import shutil

import pytest

from statedb import Store
from statedb.cli.terminal import output, pager
from tests.cli.helpers import Program

HISTORY = ("history", "a", "persistent", "k")
MARKED = "echo PAGED; cat"

needs_less = pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed here")


@pytest.fixture
def program(program: Program) -> Program:
    """A store with a key of 40 versions and one of a single one."""
    with Store(program.name, durability="normal") as store:
        for each in range(40):
            store.states.set("a", "persistent", "k", each)
        store.states.set("a", "persistent", "short", 1)
    program.env.pop("PAGER", None)
    program.env |= {"STATEDB_PAGER": MARKED}
    return program


def shown(program: Program, *args: str, rows: int = 24, columns: int = 80) -> str:
    terminal = program.on_a_terminal(*args, rows=rows, columns=columns)
    assert terminal.end() == 0
    return terminal.shown


@pytest.mark.parametrize("args", [HISTORY, ("log",), (*HISTORY, "--json"), ("keys", "a", "persistent")], ids=str)
def test_output_taller_than_the_terminal_is_paged(program: Program, args: tuple[str, ...]) -> None:
    if args[0] == "keys":
        with Store(program.name) as store:
            store.states.set_many("a", "persistent", {f"key{each}": each for each in range(40)})
    assert shown(program, *args).startswith("PAGED\n")


def test_output_that_the_terminal_can_show_is_not_paged(program: Program) -> None:
    assert "PAGED" not in shown(program, "history", "a", "persistent", "short")
    assert "PAGED" not in shown(program, *HISTORY, rows=50)
    assert "PAGED" not in shown(program, *HISTORY, rows=42)
    assert "PAGED" in shown(program, *HISTORY, rows=41)


def test_a_line_wider_than_the_terminal_takes_as_many_rows_as_it_needs(program: Program) -> None:
    with Store(program.name) as store:
        store.states.set("a", "persistent", "wide", "x" * 500)
    assert "PAGED" in shown(program, "show", "a", "persistent", "wide", rows=20, columns=40)
    assert "PAGED" not in shown(program, "show", "a", "persistent", "wide", rows=20, columns=400)


def test_the_whole_output_goes_through_the_pager_with_its_colours(program: Program) -> None:
    said = shown(program, *HISTORY)
    assert said.count("update") == 39
    assert "\x1b[1" in said
    program.env["NO_COLOR"] = "1"
    assert "\x1b[3" not in shown(program, *HISTORY)


def test_nothing_is_paged_where_nobody_wants_it(program: Program) -> None:
    assert "PAGED" not in shown(program, "--no-pager", *HISTORY)
    program.env["TERM"] = "dumb"
    assert "PAGED" not in shown(program, *HISTORY)


def test_nothing_is_paged_or_coloured_in_a_pipe(program: Program) -> None:
    program.env |= {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    ran = program(*HISTORY)
    assert ran.code == 0
    assert "PAGED" not in ran.text
    assert "\x1b" not in ran.text


def test_a_value_is_not_paged(program: Program) -> None:
    program("set", "a", "local", "long", str(list(range(100))))
    assert "PAGED" not in shown(program, "get", "a", "local", "long")


@pytest.mark.parametrize(
    ("env", "command"),
    [
        ({"STATEDB_PAGER": "a", "PAGER": "b"}, "a"),
        ({"PAGER": "b"}, "b"),
        ({"STATEDB_PAGER": "", "PAGER": "b"}, None),
        ({"PAGER": "cat"}, None),
        ({}, "less -FRX"),
    ],
)
def test_the_pager_is_named_by_the_environment(
    env: dict[str, str], command: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", env)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert pager.pager() == command


def test_without_any_pager_the_output_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert pager.pager() is None


def test_a_pager_that_cannot_be_run_costs_nobody_the_output(program: Program) -> None:
    program.env["STATEDB_PAGER"] = "/no/such/pager"
    said = shown(program, *HISTORY)
    assert "not found" in said or "No such file" in said
    assert said.count("update") == 39


def test_a_pager_that_is_quit_early_ends_the_program_quietly(program: Program) -> None:
    with Store(program.name, durability="normal") as store:
        store.states.set_many("a", "local", {f"{each:0>100}": each for each in range(5000)})
    program.env["STATEDB_PAGER"] = "head -n 1"
    assert shown(program, "keys", "a", "local") == f"{'0' * 100}\n"


@needs_less
def test_less_is_what_shows_it_unless_told_and_q_quits_it(program: Program) -> None:
    del program.env["STATEDB_PAGER"]
    program.env["LESS"] = "FRX"
    terminal = program.on_a_terminal(*HISTORY)
    terminal.until("\n:\x1b[K")
    terminal.type("q")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.shown


def test_an_interrupt_leaves_a_pager_running_that_takes_no_notice(program: Program) -> None:
    # Two reads: the interrupt ends the first one in some shells.
    ask = "read x < /dev/tty"
    program.env["STATEDB_PAGER"] = f"trap 'echo HEARD' INT; cat > /dev/null; echo READY; {ask}; {ask}; echo BYE"
    terminal = program.on_a_terminal(*HISTORY)
    terminal.until("READY")
    terminal.type("\x03")
    terminal.until("HEARD")
    terminal.type("\n\n")
    terminal.until("BYE")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.shown


def test_an_interrupt_that_ends_the_pager_ends_the_program_quietly(program: Program) -> None:
    program.env["STATEDB_PAGER"] = "echo READY; exec tail -f /dev/null"
    terminal = program.on_a_terminal(*HISTORY)
    terminal.until("READY")
    terminal.type("\x03")
    assert terminal.end() == 0
    assert terminal.shown.replace("^C", "") == "READY\n"


def test_a_command_that_is_refused_is_not_paged(program: Program) -> None:
    terminal = program.on_a_terminal("history", "a", "persistent", "nope")
    assert terminal.end() == 1
    assert terminal.shown == "statedb: nope (persistent of a) has no history\n"


def test_what_was_held_back_is_printed_before_an_error(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def fail() -> None:
        with output.held() as held:
            output.line("before")
            assert held.getvalue() == b"before\n"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capfdbinary.readouterr().out == b"before\n"
    output.line("after")
    assert capfdbinary.readouterr().out == b"after\n"
