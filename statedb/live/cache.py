"""Level 1: the values of one process, kept in memory, and never taken for more than they are.

What is kept is the content that a digest names. Digests are keyed by the salt of their key and 16 bytes long, so what
was once the content of a digest is so for ever, and nothing here can go stale; the one question is which digest a key
has now. The database answers it, by a statement that returns a value only where its digest is another
(`db/current.py`), or on a file by a *stamp*: a number that changes with every commit of anybody's. Where the stamp that
was taken before that statement still stands, nobody has committed since, and the statement's answer holds without SQL.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from cachetools import Cache as Policy
from cachetools import LFUCache, LRUCache, TTLCache

from statedb.config import Settings
from statedb.models import Address, CacheStats
from statedb.times import micros
from statedb.values import arguments
from statedb.values.codec import Encoded, is_json
from statedb.values.content import Content

WORTH = 8 * 1024
"""Bytes from which on a value is kept. At 8 KB a read takes 22 µs, a hit 10, and one for which the database is asked
23: from here on next to nothing is lost where somebody commits between any two reads. At 4 KB: 14, 7 and 19."""

Stamp = Callable[[], int | None]
"""Return a number that changes with every commit of anybody's, None where there is none."""

_log = logging.getLogger("statedb.cache")


class Seen(NamedTuple):
    """What a statement said of a key whose digest it confirmed: until when it lives, and the newest commit's time.

    `stamp` was taken before that statement began: taken after it, it might be that of a commit the statement did not
    see. None where there was none. Times are microseconds.
    """

    stamp: int | None
    expires_at: int | None
    newest: int


UNSEEN = Seen(None, None, 0)


class Cached:
    """A key's content by its digest. `seen` is replaced as a whole: whoever reads it reads what belongs together."""

    __slots__ = ("content", "digest", "seen")

    def __init__(self, digest: bytes, content: Content, seen: Seen = UNSEEN) -> None:
        self.digest, self.content, self.seen = digest, content, seen


class Cache:
    """The contents one store keeps in memory, up to so many bytes. Any thread may use it."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.cache_bytes
        self._clock = settings.clock
        self._policy = settings.cache_policy
        self.entries = _entries(settings)
        self.filled = False
        """Whether anything was kept since it was last cleared. Of many a store nothing is: its values are small."""
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._handlers: list[Callable[[Address], object]] = []
        if settings.on_cache_miss is not None:
            self._handlers.append(settings.on_cache_miss)
        self._count: Counter[str] = Counter()
        self.level2 = bool(settings.redis_url)
        self.store_id: str | None = None

    def stamped_by(self, stamp: Stamp) -> None:
        """Take stamps from a database that has just been opened; those of one before mean nothing any more."""
        self.clear()
        self._stamp = stamp

    # ---- reading

    def current(self, at: Address) -> Content | None:
        """Return what is kept of a key if nobody has committed since it was confirmed, and it has not expired."""
        if not self.has(at):
            return None
        with self._lock:
            kept = self._find(at)
            if kept is None:
                return None
            stamp, expires_at, newest = kept.seen
            # The stamp is asked for now, after the call began: what it confirms is as new as the call.
            if stamp is None or self._stamp is None or stamp != self._stamp():
                return None
            if expires_at is not None and expires_at <= max(micros(self._clock()), newest):
                return None
            self._count["hits"] += 1
            return kept.content

    def has(self, at: Address) -> bool:
        """Tell whether anything is kept of a key. Most have small values, of which nothing is: so without the lock."""
        try:
            return at in self.entries
        except TypeError:  # what cannot be hashed is no key, which is for others to say
            return False

    def find(self, at: Address) -> Cached | None:
        """Return what is kept of a key, be it current or not."""
        if not self.has(at):
            return None
        with self._lock:
            return self._find(at)

    def stamp(self) -> int | None:
        """Return the stamp as it is now, None where there is none."""
        with self._lock:
            return None if self._stamp is None else self._stamp()

    def confirm(self, kept: Cached, seen: Seen) -> Cached:
        """Count a hit for which the database was asked, and remember what it said."""
        kept.seen = seen
        with self._lock:
            self._count["hits"] += 1
            self._count["conditional_hits"] += 1
        return kept

    def keep(self, at: Address, kept: Cached, *, level2: bool = False) -> Cached:
        """Keep what was read, in place of what was kept before, and count a miss, which level 2 may have made good."""
        with self._lock:
            self._put(at, kept)
            self._count["misses"] += 1
            if level2:
                self._count["level2_hits"] += 1
        for handler in self._handlers:
            try:
                handler(at)
            except Exception:
                _log.exception("a handler of cache misses failed")
        return kept

    def weigh(self, at: Address, content: Content) -> None:
        """Count anew what a content takes, which has been asked for in another form."""
        content.grown = False
        with self._lock:
            kept = self._find(at)
            if kept is not None and kept.content is content:
                self._put(at, kept)

    # ---- writing, warming, invalidating

    def wrote(self, at: Address, digest: bytes, encoded: Encoded) -> None:
        """Keep what is being written. It need not be committed yet: that a key has this digest is not said here."""
        if len(encoded.plain) >= WORTH:
            with self._lock:
                self._put(at, Cached(digest, Content(encoded.plain, is_json=is_json(encoded.stored))))

    def warm(self, at: Address, kept: Cached) -> bool:
        """Keep what was read before anybody asked for it; False where it is there already, or finds no room."""
        with self._lock:
            if (there := self._find(at)) is not None and there.digest == kept.digest:
                return False
            return self._put(at, kept)

    def drop(self, which: Callable[[Address], bool]) -> int:
        """Forget the keys of which that is true, and return how many there were."""
        with self._lock:
            gone = [at for at in list(self.entries) if which(at)]
            for at in gone:
                self.entries.pop(at, None)
        return len(gone)

    def clear(self) -> int:
        """Forget everything, and return how many keys there were."""
        with self._lock:
            there = len(self.entries)
            self.entries.clear()
            self.filled = False
        return there

    def on_miss(self, handler: Callable[[Address], object]) -> None:
        """Call a function with the address of every value that has to be read from the database from now on."""
        self._handlers.append(handler)

    # ---- counting

    def level2_missed(self) -> None:
        """Count that level 2 had no answer."""
        with self._lock:
            self._count["level2_misses"] += 1

    def level2_failed(self) -> None:
        """Count an error of level 2."""
        with self._lock:
            self._count["level2_errors"] += 1

    def stats(self) -> CacheStats:
        """Return the counts as they are."""
        with self._lock:
            taken, there = int(self.entries.currsize), len(self.entries)
            return CacheStats(self._policy, self._limit, taken, there, evictions=self.entries.evictions, **self._count)

    def forsake(self) -> object:
        """Be of no use in a forked child, whose parent may have held the lock at that moment."""
        self._lock, self._stamp = threading.Lock(), None
        return None

    def _find(self, at: Address) -> Cached | None:
        try:
            return self.entries[at]
        except KeyError:
            return None

    def _put(self, at: Address, kept: Cached) -> bool:
        try:
            self.entries[at] = kept
            self.filled = True
        except ValueError:  # larger than all there is
            self.entries.pop(at, None)
            return False
        return True


def made_cache(settings: Settings) -> Cache | None:
    """Return the cache that settings ask for, None for none. Raises InvalidValue."""
    if settings.on_cache_miss is not None:
        arguments.handler(settings.on_cache_miss, "on_cache_miss")
    return Cache(settings) if settings.cache_bytes or settings.redis_url else None


def _entries(settings: Settings) -> Counting:
    """Return the entries by the policy that was asked for."""
    limit, clock = settings.cache_bytes, settings.clock
    if settings.cache_policy == "lfu":
        return Frequent(limit, getsizeof=_size)
    if settings.cache_policy == "ttl":
        return Timed(limit, settings.cache_ttl, timer=lambda: micros(clock()) / 1_000_000, getsizeof=_size)
    return Recent(limit, getsizeof=_size)


def _size(kept: Cached) -> int:
    return kept.content.size


class Counting(Policy[Address, Cached]):
    """What is kept, counting how many made room."""

    evictions = 0

    def popitem(self) -> tuple[Address, Cached]:
        self.evictions += 1
        return super().popitem()


class Recent(Counting, LRUCache[Address, Cached]):
    """Who was asked for longest ago makes room."""


class Frequent(Counting, LFUCache[Address, Cached]):
    """Who was asked for least often makes room."""


class Timed(Counting, TTLCache[Address, Cached]):
    """Nobody stays longer than so many seconds; before that, who was asked for longest ago makes room."""
