"""The history of one file on one branch of a git repository: what the file was there, commit by commit.

First parents only, so a merge is one step: the branch never was what the merged one was in between. Renames are
followed, in pieces:

    old.json  1 ── 2 ── 3          (3: the last commit before the rename)
    new.json            └── 4 ── 5

Not by git's own --follow: that takes a copy for a rename, and every `{}` for a copy of any other, so a file would begin
with the past of a stranger. Here a commit that makes the file is asked whether it removed the one it is like.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import NamedTuple

from statedb.cli.exits import Refused
from statedb.cli.formats.repository import Repository

_FIELDS = ("%H", "%P", "%ct", "%an", "%ae", "%B")
_LOG = (
    "log", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv",
    "--first-parent", "-m", "--encoding=UTF-8", f"--format={'%x00'.join(_FIELDS)}",
)  # fmt: skip
_RENAMES = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "-M", "--diff-filter=R")
_FILE = "10"
"""How the mode of an ordinary file begins; links, folders and submodules have others."""


class Step(NamedTuple):
    """A commit that changed the file. `blob` is None for its deletion, and for what is no ordinary file."""

    commit: str
    parent: str | None
    at: int
    author: str
    email: str
    message: str
    change: str
    blob: str | None

    @property
    def deletes(self) -> bool:
        return self.change == "D"


class Piece(NamedTuple):
    """A run of commits in which the file had one path: up to `last`, and after `before`."""

    path: str
    last: str
    before: str | None


class FileHistory:
    """The commits that changed a file. Raises Refused where there are none."""

    def __init__(self, repository: Repository, path: str, branch: str | None) -> None:
        self._repository = repository
        self.total, self.done = 0, 0
        full = posixpath.normpath(posixpath.join(repository.folder, path))
        tip = self._tip(branch or "HEAD")
        self._pieces = self._found(full, tip)
        if not self.total:
            raise Refused(f"{repository.where}: no commit of {branch or 'HEAD'} holds a file {full}")

    def __iter__(self) -> Iterator[Step]:
        """Return the commits, oldest first."""
        for piece in reversed(self._pieces):
            for step in self._steps(piece, "--reverse"):
                self.done += 1
                yield step

    def _tip(self, branch: str) -> str:
        """Return the commit a name means now, so that a branch that moves meanwhile is read as it was."""
        try:
            found = self._repository.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{branch}^{{commit}}")
        except Refused:
            raise Refused(f"{self._repository.where}: there is no branch or commit {branch}") from None
        return found.strip()

    def _found(self, path: str, last: str) -> list[Piece]:
        """Return the pieces of the history, newest first, and count its commits."""
        pieces: list[Piece] = []
        while True:
            piece = Piece(path, last, None)
            with closing(self._steps(piece)) as steps:
                origin = next((found for step in steps if (found := self._origin(step, path))), None)
            if origin is None:
                return [*pieces, piece]
            last, path = origin
            pieces.append(piece._replace(before=last))

    def _origin(self, step: Step, path: str) -> tuple[str, str] | None:
        """Return the commit before and the path there where this commit gave the file another one."""
        self.total += 1
        if step.change != "A" or step.parent is None:
            return None
        tokens = self._repository.tokens(*_RENAMES, step.parent, step.commit)
        with closing(tokens):
            for _, old, new in zip(tokens, tokens, tokens, strict=False):
                if os.fsdecode(new) == path:
                    return step.parent, os.fsdecode(old)
        return None

    def _steps(self, piece: Piece, *options: str) -> Generator[Step, None, None]:
        after = [f"^{piece.before}"] if piece.before else []
        command = (*_LOG, *options, "--end-of-options", piece.last, *after, "--", f":(top,literal){piece.path}")
        tokens = self._repository.tokens(*command)
        with closing(tokens):
            yield from _steps(tokens, os.fsencode(piece.path))


def _steps(tokens: Iterator[bytes], path: bytes) -> Iterator[Step]:
    """Read a log: the fields of a commit, then `:modes ids change` and a path for each file of it."""
    said: list[bytes] = []
    for token in tokens:
        raw = token.lstrip(b"\n")
        if raw.startswith(b":"):
            if next(tokens, b"") == path:  # a folder of that name holds others
                yield _step(said, raw.decode())
        elif raw:
            said = [raw, *islice(tokens, len(_FIELDS) - 1)]


def _step(said: list[bytes], raw: str) -> Step:
    commit, parents, at, author, email, message = (each.decode(errors="replace") for each in said)
    _, mode, _, blob, change = raw.split()
    return Step(
        commit, parents.partition(" ")[0] or None, int(at), author, email, message, change,
        blob if mode.startswith(_FILE) else None,
    )  # fmt: skip
