"""How commands end, seen from outside: real processes, pipes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from statedb import Store
from statedb.cli.exits import INTERRUPTED, UNREAD, Refused, run
from tests.cli.helpers import Program, lines


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """One database is enough: what is tested here does not depend on it."""
    return str(request.param)


KEY = ("--agent", "a", "--type", "persistent", "--key", "k")


@pytest.fixture
def large(where: str) -> None:
    """A history of more than a pipe holds."""
    with Store(where, durability="normal") as store:
        for each in range(50):
            store.states.set("a", "persistent", "k", f"{each}" * 10_000)


def test_done_is_0_not_found_is_1_and_wrong_usage_is_2(program: Program) -> None:
    assert program("set", "a", "local", "k", '"ünï ☃"').code == 0
    assert program("get", "a", "local", "k").text == '"ünï ☃"\n'
    missing = program("get", "a", "local", "nope")
    assert (missing.code, missing.out, missing.line) == (1, b"", "nope (local of a) has no value")
    wrong = program("set", "a", "local", "k", "dark")
    assert (wrong.code, wrong.out) == (2, b"")
    assert "VALUE is not JSON" in wrong.line


def test_the_installed_program_is_the_module(program: Program) -> None:
    import sys

    script = Path(sys.executable).parent / "statedb"
    ran = subprocess.run([script, "--version"], capture_output=True, check=True)
    assert ran.stdout == program("--version").out


def test_output_is_utf8_whatever_the_terminal_is_said_to_speak(program: Program) -> None:
    program.env |= {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    assert program("set", "a", "local", "ünï", '"☃"').code == 0
    assert program("get", "a", "local", "ünï").text == '"☃"\n'
    assert "ünï" in program("log").text
    assert program("get", "a", "local", "☃").code == 1


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("args", [("export",), ("history", "a", "persistent", "k", "--json"), ("log",)], ids=str)
def test_a_reader_that_goes_away_ends_the_program_quietly(program: Program, args: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        ran = program(*args, stdout=closed)
    assert (ran.code, ran.err) == (UNREAD, "")


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("args", [("export",), ("query", "select * from history", "--json")], ids=str)
def test_a_reader_that_goes_away_in_the_middle_ends_the_program_quietly(
    program: Program, args: tuple[str, ...], unbuffered: str
) -> None:
    program.env["PYTHONUNBUFFERED"] = unbuffered
    with program.start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(60) == UNREAD
        assert process.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")
@pytest.mark.parametrize("args", [("get", "a", "local", "k"), ("log",), ("export",), ("--version",)], ids=str)
def test_an_output_that_is_full_is_one_line(program: Program, args: tuple[str, ...]) -> None:
    program("set", "a", "local", "k", "1")
    with open("/dev/full", "wb") as full:
        ran = program(*args, stdout=full)
    assert (ran.code, ran.line) == (1, "No space left on device")


def test_an_interrupt_ends_with_130_and_no_traceback(program: Program) -> None:
    assert program("init").code == 0
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with program.start("import", "-", *KEY, **pipes) as process:
        assert process.stdin is not None
        process.stdin.write(lines(*({"at": each, "value": each} for each in range(200))))
        process.stdin.flush()
        end = time.monotonic() + 60
        while _versions(program.name) < 200 and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (INTERRUPTED, b"")
    assert _versions(program.name) == 200


def _versions(where: str) -> int:
    with Store(where) as store:
        return len(store.history.versions("a", "persistent", "k"))


def test_programs_write_at_once_and_lose_nothing(program: Program) -> None:
    assert program("init").code == 0
    started = [
        program.start("set", "a", "local", f"k{each}", "1", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for each in range(6)
    ]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert said == [b""] * len(started)
    assert program("keys", "a", "local").text.split() == [f"k{each}" for each in range(6)]


def _on_a_terminal(program: Program, *args: str) -> str:
    """Run a command whose output and errors are a terminal, and return what stands there."""
    terminal = program.on_a_terminal(*args, columns=60)
    terminal.end()
    return terminal.shown


def test_a_terminal_gets_indented_json_and_nothing_it_would_obey(program: Program) -> None:
    program("set", "a", "local", "k", '{"a":"\\u009b2J"}')
    assert _on_a_terminal(program, "get", "a", "local", "k") == '{\n  "a": "\\u009b2J"\n}\n'


def test_a_terminal_gets_a_table_of_its_width_in_colour_unless_it_asks_for_none(program: Program) -> None:
    program("set", "a", "local", "k", "1", "-m", "m" * 100)
    shown = _on_a_terminal(program, "log")
    assert "\x1b[1" in shown
    assert "…" in shown
    program.env["NO_COLOR"] = "1"
    assert "\x1b[3" not in _on_a_terminal(program, "log")


def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(program: Program, tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_bytes(lines(*({"at": each, "value": each} for each in range(500))))
    assert "importing" in _on_a_terminal(program, "import", str(tmp_path / "v.jsonl"), *KEY)
    assert "exporting" in _on_a_terminal(program, "export", "-o", str(tmp_path / "out"))
    assert program("export", "-o", str(tmp_path / "out")).err == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Refused("no\nway"), 1, "statedb: no\\nway\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "statedb: No such file: x\n"),
        (OSError("odd"), 1, "statedb: odd\n"),
        (KeyboardInterrupt(), INTERRUPTED, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    assert run(fail) == code
    assert capsys.readouterr() == ("", said)


def test_a_defect_keeps_its_traceback() -> None:
    def fail() -> None:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        run(fail)
