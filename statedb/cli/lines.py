"""Files of JSON lines, in and out: compressed with zstd or not, streamed, never whole in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, Generic, TypeVar, cast

from statedb.cli import output
from statedb.cli.exits import Refused

T = TypeVar("T")
Write = Callable[[Any], int]
"""Write a document as a line; returns its bytes."""

BATCH_LINES = 200
BATCH_BYTES = 4 * 1024 * 1024
LONGEST = 512 * 1024 * 1024
"""Bytes of one line. It stops a file without line ends, or one that decompresses to no end, before memory does."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Batch(Generic[T]):
    """Some lines, parsed. `line` is the number of the one handed out last, so that an error can name it."""

    def __init__(self) -> None:
        self.size = 0
        self.line = 0
        self._parsed: list[tuple[int, T]] = []

    def __len__(self) -> int:
        return len(self._parsed)

    def __iter__(self) -> Iterator[T]:
        for line, each in self._parsed:
            self.line = line
            yield each

    @property
    def full(self) -> bool:
        return len(self._parsed) >= BATCH_LINES or self.size >= BATCH_BYTES

    def add(self, line: int, size: int, parsed: T) -> None:
        self._parsed.append((line, parsed))
        self.size += size


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
        from pydantic_core import from_json

        while text := self._read():
            if not text.strip():
                continue
            try:
                return len(text), from_json(text, allow_inf_nan=False, cache_strings="keys")
            except ValueError as error:
                raise Refused(f"line {self.number} is not JSON ({error})") from None
        return None

    def batches(self, parse: Callable[[Any], T]) -> Iterator[Batch[T]]:
        """Return what the lines mean, in batches. `parse` raises ValueError for a line that means nothing."""
        batch: Batch[T] = Batch()
        while (found := self.next()) is not None:
            size, document = found
            try:
                batch.add(self.number, size, parse(document))
            except ValueError as error:
                raise Refused(f"line {self.number} {error}") from None
            if batch.full:
                yield batch
                batch = Batch()
        if batch:
            yield batch

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
            target = stack.enter_context(_whole_or_not_at_all(os.path.realpath(path)))
        packed = path is not None and path.endswith(".zst")
        plain = stack.enter_context(_zstd().open(target, "wb")) if packed else target
        yield _writer(plain)


def _writer(plain: BinaryIO) -> Write:
    from pydantic_core import to_json

    def write(document: Any) -> int:
        return plain.write(to_json(document) + b"\n")

    return write


@contextmanager
def _whole_or_not_at_all(path: str) -> Iterator[BinaryIO]:
    part = f"{path}.{os.getpid()}.part"
    try:
        target = open(part, "xb")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    try:
        with target:
            yield target
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


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
