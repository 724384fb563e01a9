"""A pgbouncer in transaction mode: each transaction may run on another of the server's sessions."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")

_CONFIG = """
[databases]
* = host={folder} port={server_port} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = postgres
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
logfile = {home}/log
pidfile = {home}/pid
"""
_START = 30.0


class Bouncer:
    """A pgbouncer on a port of 127.0.0.1, before a server at (folder of its socket, port), with `size` sessions."""

    def __init__(self, server: tuple[str, int], *, size: int) -> None:
        assert PROGRAM is not None
        self._home = Path(tempfile.mkdtemp(prefix="statedb-bouncer-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        config = self._home / "pgbouncer.ini"
        folder, server_port = server
        config.write_text(
            _CONFIG.format(folder=folder, server_port=server_port, port=self.port, size=size, home=self._home)
        )
        # It refuses to be root; the server's own user reaches the server's socket.
        user = os.stat(folder).st_uid if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self._home, user, -1)
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(config)], user=user, start_new_session=True, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _START
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = self._home / "log"
                    raise RuntimeError(f"no pgbouncer: {log.read_text() if log.exists() else error}") from error
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)
