"""How tests call the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json
from typer.testing import CliRunner

from statedb.cli.app import app


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
    """Commands on one store, in this process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, *args: str, stdin: bytes | None = None, options: tuple[str, ...] = ()) -> Ran:
        return self.bare("-f", str(self.path), *options, *args, stdin=stdin)

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


class Program:
    """Commands on one store, each in a process of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STATEDB_")}
        self.env = {**kept, "STATEDB_URL": str(path), "STATEDB_DURABILITY": "normal"}

    def start(self, *args: str, stdin: Any = None, stdout: Any = None, stderr: Any = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "statedb", *args]
        # A shell starts its background jobs with interrupts ignored, and their children inherit that.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(command, env=self.env, stdin=stdin, stdout=stdout, stderr=stderr, preexec_fn=heed)

    def __call__(self, *args: str, stdin: bytes = b"", stdout: Any = subprocess.PIPE) -> Ran:
        pipe = subprocess.PIPE
        with self.start(*args, stdin=pipe, stdout=stdout, stderr=pipe) as process:
            out, err = process.communicate(stdin, timeout=60)
        return Ran(process.returncode, out or b"", err.decode())


def lines(*documents: Any) -> bytes:
    """Return JSON lines."""
    return b"".join(to_json(each) + b"\n" for each in documents)
