"""git: a repository with one file, a commit for each version; for what it takes on disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

NAME = "git"


def version() -> str | None:
    """Return git's version, if there is a git."""
    if shutil.which(NAME) is None:
        return None
    return _run(None, "--version").decode().split()[-1]


def fill(folder: Path, texts: Iterable[bytes]) -> None:
    """Commit every version. Objects lie loose, as `git commit` leaves them, so that gc finds all deltas itself."""
    _run(None, "init", "--quiet", "--initial-branch=main", str(folder))
    limit = "fastimport.unpackLimit=1000000000"
    command = ["git", "-C", str(folder), "-c", limit, "fast-import", "--quiet"]
    importing = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert importing.stdin is not None
    for second, text in enumerate(texts, 1_000_000_000):
        head = f"commit refs/heads/main\ncommitter bench <> {second} +0000\ndata 1\nv\nM 644 inline state.json\n"
        importing.stdin.write(head.encode() + b"data %d\n%b\n" % (len(text), text))
    importing.stdin.close()
    assert importing.wait() == 0


def size(folder: Path, *how: str) -> int:
    """Collect garbage, and return the bytes of all objects and their index."""
    _run(folder, "gc", "--quiet", *how)
    return sum(path.stat().st_size for path in (folder / ".git" / "objects").rglob("*") if path.is_file())


def _run(folder: Path | None, *arguments: str) -> bytes:
    where = [] if folder is None else ["-C", str(folder)]
    return subprocess.run(["git", *where, *arguments], check=True, capture_output=True).stdout
