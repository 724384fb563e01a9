"""A git repository, asked through the git program.

A repository is anybody's, and so are its settings: nothing it names is run, nothing is fetched, and nothing a caller
says is taken for an option.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from statedb.cli.exits import Refused

if TYPE_CHECKING:
    from subprocess import Popen

_SETTINGS = {
    "core.fsmonitor": "false",  # else a program the repository names would be run
    "protocol.allow": "never",  # a partial clone would fetch what it lacks
    # What a person has set for reading logs, at its default:
    "diff.relative": "false",
    "log.diffMerges": "separate",
    "log.follow": "false",
    "log.showRoot": "true",
    "log.showSignature": "false",
}
_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"})
"""What may say where git's own settings and programs are. All other GIT_… would speak of another repository."""

_CHUNK = 64 * 1024


class Repository:
    """A repository that can be asked for what is in it. Raises Refused where there is none, or a part of one."""

    def __init__(self, where: str) -> None:
        self.where = where
        shallow, _, prefix = self.ask("rev-parse", "--is-shallow-repository", "--show-prefix").partition("\n")
        if shallow == "true":
            raise Refused(f"{where} is a shallow clone, whose history is cut; 'git fetch --unshallow' brings the rest")
        self.folder = prefix.removesuffix("\n")
        """Where in the repository `where` is: "" for its top, else it ends in a slash."""

    def ask(self, *command: str) -> str:
        """Run a command and return what it prints."""
        return os.fsdecode(b"".join(self._chunks(*command)))

    def tokens(self, *command: str) -> Generator[bytes, None, None]:
        """Run a command and return what it prints, cut at NULs, as it comes."""
        rest = b""
        for chunk in self._chunks(*command):
            *cut, rest = (rest + chunk).split(b"\0")
            yield from cut
        if rest:
            yield rest

    @contextmanager
    def blobs(self) -> Iterator[Blobs]:
        """Keep a git running that hands out contents."""
        with self._running("cat-file", "--batch") as (git, said):
            yield Blobs(git, lambda: self._refusal(said))

    def _chunks(self, *command: str) -> Iterator[bytes]:
        with self._running(*command) as (git, said):
            while chunk := _out(git).read1(_CHUNK):
                yield chunk
            if git.wait() != 0:
                raise self._refusal(said)

    @contextmanager
    def _running(self, *command: str) -> Iterator[tuple[Popen[bytes], IO[bytes]]]:
        """Run git; it is ended with the block, whether it was done or not."""
        from subprocess import PIPE, Popen
        from tempfile import TemporaryFile

        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        given = ["git", "-C", self.where, "--no-pager", *settings, *command]
        with TemporaryFile() as said:  # not a pipe, which would have to be read beside the other
            try:
                git = Popen(given, stdin=PIPE, stdout=PIPE, stderr=said, env=_environment(os.environ))
            except FileNotFoundError:
                raise Refused("there is no git program on the PATH; install git to import its histories") from None
            with git:
                try:
                    yield git, said
                finally:
                    git.kill()

    def _refusal(self, said: IO[bytes]) -> Refused:
        said.seek(0)
        lines = os.fsdecode(said.read()).splitlines() or ["git gave up without a word"]
        worst = next((line for line in lines if line.startswith("fatal: ")), lines[0])
        return Refused(f"{self.where}: {worst.removeprefix('fatal: ').removesuffix(': .git')}")


class Blobs:
    """Contents, by their ids, from a git that keeps running."""

    def __init__(self, git: Popen[bytes], refusal: Callable[[], Refused]) -> None:
        self._git, self._refusal = git, refusal

    def read(self, blob: str, most: int) -> bytes | None:
        """Return the contents of a blob, None for more than `most` bytes. Raises Refused where they are not there."""
        out = _out(self._git)
        try:
            # Not through the file object: what a git that has died left in its buffer, it would try again at its end.
            os.write(cast(IO[bytes], self._git.stdin).fileno(), f"{blob}\n".encode())
        except BrokenPipeError:
            raise self._refusal() from None
        answer = out.readline().split()
        if len(answer) != 3:
            raise Refused(f"the contents {blob[:10]} are not in the repository; is it a partial clone?")
        size = int(answer[2])
        found = out.read(size) if size <= most else None
        left = size + 1 if found is None else 1
        while left > 0 and (read := out.read(min(left, _CHUNK))):
            left -= len(read)
        return found


def _out(git: Popen[bytes]) -> io.BufferedReader:
    return cast(io.BufferedReader, git.stdout)


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in inherited.items() if not name.startswith("GIT_") or name in _KEPT}
    return kept | {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
