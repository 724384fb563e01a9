"""How tests call the command line."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json
from typer.testing import CliRunner

from statedb import Store
from statedb.cli.app import app
from tests.helpers import HANG


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return from_json(self.out)

    @property
    def line(self) -> str:
        """The one line of an error."""
        assert self.err.startswith("statedb: "), self.err
        assert self.err.endswith("\n"), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("statedb: ").rstrip("\n")


class Cli:
    """Commands on one store, in this process. It is in the file at `path`, or where a URL says."""

    def __init__(self, path: Path, url: str | None = None) -> None:
        self.path, self.name = path, url or str(path)

    def __call__(self, *args: str, stdin: bytes | None = None, options: tuple[str, ...] = ()) -> Ran:
        return self.bare("-f", self.name, *options, *args, stdin=stdin)

    def bare(self, *args: str, stdin: bytes | None = None) -> Ran:
        """Run a command with no store named."""
        result = CliRunner().invoke(app, list(args), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout_bytes, result.stderr)

    def ok(self, *args: str, stdin: bytes | None = None) -> Ran:
        """Run a command that does what it is asked, and says nothing else."""
        ran = self(*args, stdin=stdin)
        assert (ran.code, ran.err) == (0, "")
        return ran

    def refused(self, *args: str, stdin: bytes | None = None) -> str:
        """Run a command that is refused, and return the line that says why."""
        ran = self(*args, stdin=stdin)
        assert (ran.code, ran.out) == (1, b"")
        return ran.line

    def wrong(self, *args: str, stdin: bytes | None = None) -> str:
        """Run a command that is no command, and return the line that says why."""
        ran = self(*args, stdin=stdin)
        assert (ran.code, ran.out) == (2, b"")
        return ran.line

    @property
    def untouched(self) -> bool:
        """Whether nothing was made: no file, and on a server no commit."""
        if self.name == str(self.path):
            return not self.path.exists()
        with Store(self.name) as store:
            return store.transfer.head() == 0


class Program:
    """Commands on one store, each in a process of its own."""

    def __init__(self, path: Path, url: str | None = None) -> None:
        self.path, self.name = path, url or str(path)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STATEDB_")}
        kept.pop("NO_COLOR", None)
        self.env = {**kept, "STATEDB_URL": self.name, "STATEDB_DURABILITY": "normal"}

    def start(self, *args: str, stdin: Any = None, stdout: Any = None, stderr: Any = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "statedb", *args]
        # A shell starts its background jobs with interrupts ignored, and their children inherit that.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(command, env=self.env, stdin=stdin, stdout=stdout, stderr=stderr, preexec_fn=heed)

    def on_a_terminal(self, *args: str, rows: int = 24, columns: int = 80) -> Terminal:
        return Terminal(self, args, rows, columns)

    def __call__(self, *args: str, stdin: bytes = b"", stdout: Any = subprocess.PIPE) -> Ran:
        pipe = subprocess.PIPE
        with self.start(*args, stdin=pipe, stdout=stdout, stderr=pipe) as process:
            out, err = process.communicate(stdin, timeout=60)
        return Ran(process.returncode, out or b"", err.decode())


class Terminal:
    """A command on a terminal of its own, and somebody who sits there."""

    def __init__(self, program: Program, args: tuple[str, ...], rows: int, columns: int) -> None:
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {name: value for name, value in program.env.items() if name not in ("COLUMNS", "LINES")}

        def sit_down() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        command = [sys.executable, "-m", "statedb", *args]
        self._process = subprocess.Popen(
            command, env={"TERM": "xterm", **env}, preexec_fn=sit_down, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.shown, self._looked = "", 0

    def until(self, text: str) -> None:
        """Look on until a text appears that had not been waited for yet."""
        while (found := self.shown.find(text, self._looked)) < 0:
            assert self._read(), self.shown
        self._looked = found + len(text)

    def type(self, keys: str) -> None:
        os.write(self._mine, keys.encode())

    def end(self) -> int:
        """Look on to the end, and return the exit code."""
        while self._read():
            pass
        os.close(self._mine)
        return self._process.wait(HANG)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._mine], [], [], HANG)
        assert ready, f"it hangs after {self.shown!r}"
        try:
            found = os.read(self._mine, 65536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.shown += found.decode(errors="replace").replace("\r\n", "\n")
        return bool(found)


def lines(*documents: Any) -> bytes:
    """Return JSON lines."""
    return b"".join(to_json(each) + b"\n" for each in documents)
