"""Files of JSON lines, in and out: compressed with zstd or not, streamed, never whole in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, TypeVar, cast

from statedb.cli.exits import Refused
from statedb.cli.formats.batches import Batch, Item, batched
from statedb.cli.formats.files import LONGEST, parsed, whole
from statedb.cli.terminal import output

T = TypeVar("T")
Write = Callable[[Any], int]
"""Write a document as a line; returns its bytes."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Lines:
    """The lines of a file, which are counted from 1."""

    def __init__(self, source: BinaryIO, plain: BinaryIO) -> None:
        self._source, self._plain = source, plain
        self.number = 0

    @property
    def total(self) -> int | None:
        """How many bytes the file has, None where nobody knows."""
        try:
            size = os.fstat(self._source.fileno()).st_size
        except (OSError, ValueError):
            return None
        return size or None

    @property
    def done(self) -> int:
        """How many bytes of the file have been read."""
        try:
            return self._source.tell()
        except (OSError, ValueError):
            return 0

    def next(self) -> tuple[int, Any] | None:
        """Return the size and the JSON of the next line that is not empty, None at the end."""
        while text := self._read():
            if not text.strip():
                continue
            try:
                return len(text), parsed(text)
            except ValueError as error:
                raise Refused(f"line {self.number} is not JSON ({error})") from None
        return None

    def batches(self, parse: Callable[[Any], T]) -> Iterator[Batch[T]]:
        """Return what the lines mean, in batches. `parse` raises ValueError for a line that means nothing."""
        return batched(self._parsed(parse))

    def _parsed(self, parse: Callable[[Any], T]) -> Iterator[Item[T]]:
        while (found := self.next()) is not None:
            size, document = found
            try:
                meant = parse(document)
            except ValueError as error:
                raise Refused(f"line {self.number} {error}") from None
            yield Item(f"line {self.number}", size, meant)

    def _read(self) -> bytes:
        self.number += 1
        try:
            text = self._plain.readline(LONGEST)
        except (_zstd().ZstdError, EOFError) as error:
            raise Refused(f"line {self.number} does not decompress ({error})") from None
        if len(text) == LONGEST:
            raise Refused(f"line {self.number} is longer than {LONGEST:,} bytes")
        return text


@contextmanager
def reading(path: str) -> Iterator[Lines]:
    """Open a file of lines, - for standard input; what is compressed is known by its first bytes, not by its name."""
    with ExitStack() as stack:
        source = _stdin(stack) if path == "-" else stack.enter_context(open(path, "rb"))
        packed = source.peek(4)[:4] == _ZSTD_MAGIC
        plain = stack.enter_context(_zstd().open(source, "rb")) if packed else source
        yield Lines(source, plain)


@contextmanager
def writing(path: str | None) -> Iterator[Write]:
    """Open a file of lines to write, None or - for standard output; a name that ends in .zst is compressed.

    The file appears under its name once it is whole, so that what stands there is never a part.
    """
    with ExitStack() as stack:
        if path is None or path == "-":
            target = output.stdout()
        elif os.path.exists(path) and not os.path.isfile(path):
            target = stack.enter_context(open(path, "wb"))  # a pipe or a device, which no file may take the place of
        else:
            target = stack.enter_context(whole(os.path.realpath(path)))
        packed = path is not None and path.endswith(".zst")
        plain = stack.enter_context(_zstd().open(target, "wb")) if packed else target
        yield _writer(plain)


def _writer(plain: BinaryIO) -> Write:
    from pydantic_core import to_json

    def write(document: Any) -> int:
        return plain.write(to_json(document) + b"\n")

    return write


def _stdin(stack: ExitStack) -> io.BufferedReader[Any]:
    found = output.stdin()
    if isinstance(found, io.BufferedReader):
        return found
    buffered: io.BufferedReader[Any] = io.BufferedReader(cast(io.RawIOBase, found))
    stack.callback(buffered.detach)  # standard input is not ours to close
    return buffered


def _zstd() -> Any:
    from statedb.values.codec import zstd

    return zstd
