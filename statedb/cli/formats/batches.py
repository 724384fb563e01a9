"""Batches: what is imported goes in some hundred at a time, so that neither memory nor the write lock is held long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import typer

from statedb.cli.exits import Refused, note
from statedb.cli.stores import opened
from statedb.cli.terminal.progress import progress
from statedb.errors import InvalidKey, InvalidValue, StateDBError
from statedb.models import StateType

if TYPE_CHECKING:
    from statedb.store import Store

T = TypeVar("T")

MOST_ITEMS = 200
MOST_BYTES = 4 * 1024 * 1024


class Item(NamedTuple, Generic[T]):
    """Something to import, with its size in bytes; `where` is what an error calls it."""

    where: str
    size: int
    parsed: T


class Batch(Generic[T]):
    """Some items. `where` tells of the one handed out last, so that an error can name it."""

    def __init__(self) -> None:
        self.size = 0
        self.where = ""
        self._items: list[Item[T]] = []

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        for item in self._items:
            self.where = item.where
            yield item.parsed

    @property
    def full(self) -> bool:
        return len(self._items) >= MOST_ITEMS or self.size >= MOST_BYTES

    def add(self, item: Item[T]) -> None:
        self._items.append(item)
        self.size += item.size


def batched(items: Iterable[Item[T]]) -> Iterator[Batch[T]]:
    """Return items in batches."""
    batch: Batch[T] = Batch()
    for item in items:
        batch.add(item)
        if batch.full:
            yield batch
            batch = Batch()
    if batch:
        yield batch


class Source(Protocol):
    """Where items come from: how much there is, None where nobody knows, and how much of it has been read."""

    @property
    def total(self) -> int | None: ...

    @property
    def done(self) -> int: ...


Into = Callable[["Store", Batch[T]], int]
"""Load a batch, all or nothing; returns how many were made of it."""


def load_versions(
    context: typer.Context, source: Source, batches: Iterator[Batch[Any]], where: tuple[str, StateType, str]
) -> int:
    """Load versions of a key, and say where they could not be made at the times they tell."""
    count = load(context, source, batches, lambda store, batch: store.transfer.load_versions(*where, batch))
    with opened(context) as store:
        made = store.history.versions(*where, limit=count)
    late = sum(each.origin_at != each.at for each in made)
    if late:
        note(
            f"{late:,} of {count:,} versions could not be made at their own times, for the store held younger commits: "
            "at does not find them there, and history shows those times as 'origin at'"
        )
    return count


def load(context: typer.Context, source: Source, batches: Iterator[Batch[T]], into: Into[T]) -> int:
    """Load batches into the store that was named, each wholly or not at all, and return how many were made."""
    count = 0
    with progress("importing", source.total) as advance:
        try:
            # Read before the store is made: what cannot be read leaves nothing behind.
            first: Batch[T] = next(batches, Batch())
            with opened(context, create=True) as store:
                for batch in chain([first], batches):
                    count += _load_batch(store, batch, into)
                    advance(source.done)
        except (Refused, StateDBError) as error:
            raise Refused(f"{error}; {_standing(count)}") from error
    return count


def _load_batch(store: Store, batch: Batch[T], into: Into[T]) -> int:
    try:
        return into(store, batch)
    except (InvalidKey, InvalidValue) as error:
        if not batch.where:
            raise  # no item had been looked at yet: it is --agent or --key that cannot be
        # A record is counted by the store within its batch; here it is named by its line.
        because = re.sub(r"^record \d+ is not one", "no record", str(error))
        raise Refused(f"{batch.where}: {because}") from error


def _standing(count: int) -> str:
    return f"the first {count:,} are in the store" if count else "nothing was imported"
