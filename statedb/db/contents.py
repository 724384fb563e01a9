"""What versions hold: put together from the deltas they are kept as, and held against their digests.

    row ─ whole ─────────────────────────────────────────────────▶ digest ─▶ Stored
      └── delta ─▶ chain of rows, one statement ─▶ delta by delta ──┘

A version's row names its base, an earlier version of the same key; the chain ends at one that is kept whole. Heads are
always whole, so only who reads the past comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import and_, select

from statedb.db.connection import Connection
from statedb.db.heads import Head
from statedb.db.pairs import select_pairs, told
from statedb.db.statements import Row, Statement
from statedb.db.tables import agent_states, state_versions
from statedb.errors import Corrupted
from statedb.values import codec, delta
from statedb.values.codec import Encoded, Stored

_KNOWN = 16 * 1024 * 1024
"""Plain bytes at hand, for one transaction: whoever reads versions in a row needs each again as the next's base."""

_LINKS = 1000
"""Rows of chains at hand, of those that are asked for one after the other."""

_Place = tuple[int, int]
"""A version as (state id, revision)."""


class Kept(NamedTuple):
    """What a version holds, as its row keeps it. `base` is a revision of the same key; None: it is whole."""

    state: int
    revision: int
    base: int | None
    key: str
    version: int
    salt: bytes
    digest: bytes | None
    codec: int | None
    text: str | None
    data: bytes | None

    @property
    def stored(self) -> Stored:
        return Stored(self.codec, self.text, self.data)


def kept(version: Any = state_versions.c) -> tuple[Any, ...]:
    """Return the columns of a Kept, of a version beside its key in `agent_states`."""
    return (
        version.state_id, version.revision, version.base, _s.state_key, version.version, _s.salt, version.digest,
        version.codec, version.value, version.data,
    )  # fmt: skip


class Link(NamedTuple):
    """A version on the chain of another."""

    version: int
    base: int | None
    digest: bytes | None
    stored: Stored


class Base(NamedTuple):
    """What a version can be kept as a delta on: another's revision, and its plain bytes."""

    revision: int
    plain: bytes


class Contents:
    """The contents of versions, as a connection reads them. A version never changes, so what was read stays right.

    `kept_back` are those whose rows are written, and cannot be read in the database yet.
    """

    def __init__(self, db: Connection, kept_back: Mapping[_Place, Link] = MappingProxyType({})) -> None:
        self._db = db
        self._kept_back = kept_back
        self._links: dict[_Place, Link] = {}
        self._known: dict[_Place, bytes] = {}
        self._size = 0

    def prepare(self, rows: Iterable[Kept]) -> None:
        """Fetch the chains of many versions at once, to be read next."""
        given = list(rows)
        self._links = {}
        if all(row.base is None for row in given):
            return
        self._links = {(row.state, row.revision): _link(row) for row in given}
        self._fetch(
            {(row.state, row.base) for row in given if row.base is not None}.difference(self._links, self._known)
        )

    def whole(self, row: Kept) -> Stored:
        """Return what a version holds, as it was written. Raises Corrupted."""
        stored = row.stored
        if stored.codec is None or stored.codec == codec.ERASED:
            return stored
        plain = codec.plain(stored) if row.base is None else self.plain(row)
        if codec.digest(row.salt, Encoded(stored, plain)) != row.digest:
            raise Corrupted(
                f"the value of {row.key} version {row.version} is not what was written (its digest differs); "
                "run a check of the store and restore a backup"
            )
        return stored if row.base is None else codec.unpacked(plain, json=codec.is_json(stored))

    def plain(self, row: Kept) -> bytes:
        """Return the plain bytes of a version, not held against its digest. Raises Corrupted and Erased."""
        if row.base is None:
            return codec.plain(row.stored)
        self._links.setdefault((row.state, row.revision), _link(row))
        return self._read((row.state, row.revision))

    def wholes(self, rows: Sequence[Kept]) -> list[Stored]:
        """Return what many versions hold."""
        self.prepare(rows)
        return [self.whole(row) for row in rows]

    def heads(self, rows: Sequence[Row]) -> list[Head]:
        """Return heads of the past, from rows of their columns and behind these the base of what they hold."""
        found = [(Head(*row[:-1]), row[-1]) for row in rows]
        self.prepare(_of_head(head, base) for head, base in found if base is not None)
        for head, base in found:
            head.codec, head.text, head.data = self.whole(_of_head(head, base))
        return [head for head, _ in found]

    def chain(self, state: int, revision: int) -> dict[int, Link]:
        """Return a version and those it was made on, down to one that is whole, by revision."""
        if len(self._links) > _LINKS:  # an import asks for the chain of every 8th of a million versions
            self._links.clear()
        found: dict[int, Link] = {}
        at: int | None = revision
        while at is not None:
            found[at] = self._linked((state, at))
            at = found[at].base
        return found

    def plain_at(self, state: int, revision: int) -> bytes:
        """Return the plain bytes of a version on a chain. Raises Corrupted and Erased."""
        return self._read((state, revision))

    # ---- inside

    def _read(self, place: _Place) -> bytes:
        """Return the plain bytes of a version, from the nearest at hand of those it was made on."""
        state, revision = place
        pending: list[_Place] = []
        at: int | None = revision
        while at is not None and (state, at) not in self._known:
            pending.append((state, at))
            at = self._linked((state, at)).base
        if at is None:
            whole = pending.pop()
            plain = codec.plain(self._linked(whole).stored)
            self._remember(whole, plain)
        else:
            plain = self._known[state, at]
        pending.reverse()
        if pending:
            found = delta.undo(plain, [self._linked(each).stored for each in pending])
            for each, plain in zip(pending[-len(found) :], found, strict=True):
                self._remember(each, plain)
        return plain

    def _remember(self, place: _Place, plain: bytes) -> None:
        # All forgotten at once: keeping order costs 2 µs a version, and whoever reads on soon has what is needed again.
        if self._size + len(plain) > _KNOWN:
            self._known.clear()
            self._size = 0
        self._known[place] = plain
        self._size += len(plain)

    def _linked(self, place: _Place) -> Link:
        if (kept_back := self._kept_back.get(place)) is not None:
            return kept_back
        if place not in self._links:
            self._fetch({place})
        return self._links[place]

    def _fetch(self, wanted: set[_Place]) -> None:
        """Read the chains of some versions. Raises Corrupted where one is not there."""
        if not wanted:
            return
        for row in self._db.beneath(_CHAINS, {"wanted": told(sorted(wanted))}):
            state, revision, version, base, digest, *stored = row
            self._links[state, revision] = Link(version, base, digest, Stored(*stored))
        for state, revision in wanted.difference(self._links):
            raise Corrupted(f"revision {revision}, which later versions of state {state} build on, is missing")


def _link(row: Kept) -> Link:
    return Link(row.version, row.base, row.digest, row.stored)


def _of_head(head: Head, base: int | None) -> Kept:
    assert head.id is not None
    return Kept(
        head.id, head.revision, base, head.key, head.version, head.salt, head.digest, head.codec, head.text, head.data
    )


_s, _v, _up = agent_states.c, state_versions.alias("v").c, state_versions.alias("up").c
_chain = select_pairs("wanted", "state_id", "revision").cte("chain", recursive=True)
_chain = _chain.union(
    select(_up.state_id, _up.base)
    .select_from(
        _chain.join(_up.revision.table, and_(_up.revision == _chain.c.revision, _up.state_id == _chain.c.state_id))
    )
    .where(_up.base.is_not(None))
)
_CHAINS = Statement(
    select(_v.state_id, _v.revision, _v.version, _v.base, _v.digest, _v.codec, _v.value, _v.data).select_from(
        _chain.join(_v.revision.table, and_(_v.revision == _chain.c.revision, _v.state_id == _chain.c.state_id))
    )
)
