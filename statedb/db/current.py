"""The value of a key as it stands, from the nearest place that has it: memory, level 2, the database.

    memory ──▶ which digest has the key now? ──▶ the same: what is in memory
       └─────▶ level 2, by the digest ──▶ the database

The database is asked in every case but one (a stamp that still stands: `Cache.current`), and it alone says which
content is current; it need not send it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from statedb.db import heads
from statedb.db.statements import Statement
from statedb.db.tables import store_info
from statedb.db.tx import Tx
from statedb.errors import Corrupted, Erased
from statedb.live.cache import WORTH, Cache, Cached, Seen
from statedb.live.level2 import packed, unpacked
from statedb.models import MISSING, Address
from statedb.values import codec
from statedb.values.codec import NOTHING, Encoded, Stored
from statedb.values.content import Content


class Elsewhere:
    """A value whose digest is known, and which level 2 may hold: what to ask for there, what to make of the answer."""

    def __init__(self, cache: Cache, at: Address, digest: bytes, salt: bytes, seen: Seen) -> None:
        assert cache.store_id is not None
        self.name = f"statedb:{cache.store_id}:{digest.hex()}"
        self.at = at
        self._cache, self._digest, self._salt, self._seen = cache, digest, salt, seen
        self._show: Callable[[Content], Any] = Content.own
        self.raw: bytes | None = None
        """What the database had of this digest, as level 2 is to hold it; None where the key has another by now."""

    def shown(self, show: Callable[[Content], Any]) -> Elsewhere:
        """Be asked for in such a form."""
        self._show = show
        return self

    def found(self, digest: bytes, stored: Stored) -> None:
        """Learn what the database had after all, and what is thus to be put into level 2."""
        if digest == self._digest:
            self.raw = packed(stored)

    def take(self, raw: bytes | None) -> Any:
        """Return the value that level 2 answered, MISSING where it did not or the answer is not what was written."""
        content = None if raw is None else self._checked(raw)
        if content is None:
            self._cache.level2_missed()
            return MISSING
        self._cache.keep(self.at, Cached(self._digest, content, self._seen), level2=True)
        return self._show(content)

    def _checked(self, raw: bytes) -> Content | None:
        stored = unpacked(raw)
        try:
            plain = b"" if stored is None else codec.plain(stored)
        except (Corrupted, Erased):
            return None
        if stored is None or codec.digest(self._salt, Encoded(stored, plain)) != self._digest:
            return None
        return Content(plain, is_json=codec.is_json(stored))


def near(body: Callable[..., Any], args: Any, kwargs: Any, elsewhere: Elsewhere | None = None) -> Callable[[Tx], Any]:
    """Return a call over a transaction of one statement, which the caches may answer; `elsewhere` did not."""

    def call(tx: Tx) -> Any:
        tx.glancing, tx.elsewhere = True, elsewhere
        return body(tx, *args, **kwargs)

    return call


def look(tx: Tx, at: Address) -> Stored | Content | Elsewhere:
    """Return the value of a key as it stands, by one statement and what is in memory; NOTHING where there is none.

    What is not worth keeping is returned as it is stored. The transaction is a glance. Raises Erased.
    """
    cache = tx.cache
    assert cache is not None, "only a glance of a store that has one is sent here"
    kept = cache.find(at) if cache.filled else None
    if kept is not None:
        # Before the statement: a commit between the two is then seen by the statement, and the stamp is out of date.
        stamp = cache.stamp()
        row = tx.connection.one(heads.PRESENT_UNLESS_KNOWN, {**tx.where(at), "known": kept.digest})
    elif cache.level2 and tx.elsewhere is None:
        stamp = None
        row = tx.connection.one(heads.PRESENT_IF_SMALL, {**tx.where(at), "worth": WORTH})
    else:
        # Without a stamp, which would cost a small value a tenth of its time: the next read takes one.
        stamp = None
        row = tx.connection.one(heads.PRESENT_VALUE, tx.where(at))
    if row is None:
        return NOTHING
    codec_, text, data, expires_at, newest, digest = row[:6]
    if codec_ is None or (expires_at is not None and expires_at <= tx.moment(newest)):
        return NOTHING
    stored = Stored(codec_, text, data)
    if text is not None and len(text) < WORTH:
        return stored  # as most are: what follows would take a small value another tenth of its time
    seen = Seen(stamp, expires_at, newest or 0)
    if text is None and data is None and codec_ != codec.ERASED:
        return _elsewhere(tx, cache, at, digest, row[6], seen) if kept is None else cache.confirm(kept, seen).content
    if not worthwhile(stored):
        return stored
    if tx.elsewhere is not None:
        tx.elsewhere.found(digest, stored)
    return cache.keep(at, Cached(digest, Content.of(stored), seen)).content


def _elsewhere(tx: Tx, cache: Cache, at: Address, digest: bytes, salt: bytes, seen: Seen) -> Elsewhere:
    if cache.store_id is None:
        found = tx.connection.one(_STORE_ID, {})
        assert found is not None, "every store has a name"
        cache.store_id = str(found[0])
    return Elsewhere(cache, at, digest, salt, seen)


def stored_now(tx: Tx, at: Address) -> Cached | None:
    """Return what may be kept of a key as the log has it, None where that is not worth it or there is no value."""
    row = tx.connection.one(heads.PRESENT_VALUE, tx.where(at))
    if row is None or row[0] in (None, codec.ERASED) or not worthwhile(stored := Stored(*row[:3])):
        return None
    return Cached(row[5], Content.of(stored))


def worthwhile(stored: Stored) -> bool:
    """Tell whether a value is large enough to be kept in memory; what is compressed always is."""
    if stored.text is not None:
        return len(stored.text) >= WORTH
    return stored.codec != codec.BYTES or len(stored.data or b"") >= WORTH


_STORE_ID = Statement(select(store_info.c.id))
