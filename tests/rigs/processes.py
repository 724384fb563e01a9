"""Processes that may be killed or stopped at any moment, and what they say meanwhile.

What they say goes into files, by single appending writes: those survive the process, and a killed process holds no lock
of a queue that the others wait for.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.helpers import HANG

FORKED = multiprocessing.get_context("forkserver")
"""Processes forked off one that has imported what they need and opened nothing: a dozen start at once."""

FORKED.set_forkserver_preload(["tests.rigs.crew", "tests.rigs.linear", "tests.rigs.watchers", "tests.rigs.exclusion"])


class Processes:
    """Processes by name."""

    def __init__(self) -> None:
        self._alive: dict[str, BaseProcess] = {}

    def names(self) -> list[str]:
        return list(self._alive)

    def ended(self, name: str) -> bool:
        """Tell whether a process has ended by itself, however."""
        return self._alive[name].exitcode is not None

    def start(self, name: str, work: Callable[..., object], *args: Any) -> str:
        """Start a process, and return its name."""
        self._alive[name] = FORKED.Process(target=work, args=args, name=name)
        self._alive[name].start()
        return name

    def kill(self, *names: str) -> None:
        """Kill processes in the middle of whatever they do, all at once."""
        for name in names:
            self._check(name)
        self._kill(*names)

    def kill_all(self) -> None:
        """Kill whoever is left, however it stands with them."""
        self._kill(*self._alive)

    def _kill(self, *names: str) -> None:
        for name in names:
            self._alive[name].kill()
        for name in names:
            self._alive.pop(name).join()

    def stop(self, name: str) -> None:
        """Have a process stand still, in the middle of whatever it does."""
        self._check(name)
        os.kill(self._pid(name), signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Have a process go on that stood still."""
        os.kill(self._pid(name), signal.SIGCONT)

    def forget(self, name: str, *codes: int) -> None:
        """Take leave of a process that has ended, with one of some exit codes."""
        process = self._alive.pop(name)
        assert process.exitcode in codes, f"{name} ended with {process.exitcode}"

    def join(self, *names: str) -> None:
        """Return once processes have ended by themselves, and well."""
        for name in names:
            process = self._alive[name]
            process.join(2 * HANG)
            assert process.exitcode == 0, f"{name} ended with {process.exitcode}"
            del self._alive[name]

    def _check(self, name: str) -> None:
        """Assert that a process has not ended by itself, which would be for a reason."""
        assert self._alive[name].exitcode is None, f"{name} ended with {self._alive[name].exitcode}"

    def _pid(self, name: str) -> int:
        pid = self._alive[name].pid
        assert pid is not None
        return pid


class Board:
    """A folder where processes are told to stop, and say what they have done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def tell(self, what: str, value: Any = True) -> None:
        draft = self._folder / f"{what}.draft"
        draft.write_text(json.dumps(value))
        draft.replace(self._folder / what)

    def told(self, what: str) -> Any:
        """Return what was told, None where nothing was."""
        try:
            return json.loads((self._folder / what).read_text())
        except FileNotFoundError:
            return None

    def log(self, name: str) -> Log:
        return Log(self._folder / f"{name}.log")

    def names(self) -> list[str]:
        """Return who has begun to say something."""
        return sorted(path.stem for path in self._folder.glob("*.log"))

    def lines(self, name: str) -> list[str]:
        """Return what somebody said; who was killed in the middle of a line has not said it."""
        return (self._folder / f"{name}.log").read_text().split("\n")[:-1]

    def logs(self) -> Iterator[list[str]]:
        """Yield the lines of every log, as words."""
        for name in self.names():
            for line in self.lines(name):
                yield line.split(" ", 2)


class Log:
    """What a process says, a line at a time: `ok OP REVISION`, say."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        # Where another of this name was killed in the middle of a line, which may happen from one page to the next.
        said = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        os.ftruncate(self._fd, said.rfind(b"\n") + 1)

    def say(self, *words: object) -> None:
        os.write(self._fd, (" ".join(map(str, words)) + "\n").encode())


def until(comes: Callable[[], Any], what: str) -> None:
    """Return once something has come true."""
    deadline = time.monotonic() + 2 * HANG
    while not comes():
        assert time.monotonic() < deadline, f"it never came that {what}"
        time.sleep(0.01)
