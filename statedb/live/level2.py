"""Level 2: a Redis that processes share. It holds contents by their digests, which never change.

Which digest a key has is asked of the database each time, so nothing in Redis can be stale, and nobody has to tell
anybody of a write. What it answers is checked against the digest before it is believed.

Redis may be down, slow or full, and no read fails of that or waits for more than a moment: an error is counted, and for
a while nobody asks again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from statedb.config import Settings
from statedb.errors import InvalidValue
from statedb.values import codec
from statedb.values.codec import Stored

PATIENCE = 0.05
"""Seconds each step may take: connecting, sending, the answer. On AsyncStore all of them together."""
PAUSE = 5.0
"""Seconds for which nobody asks after an error."""


def packed(stored: Stored) -> bytes:
    """Return a stored form as level 2 holds it: its codec, a byte, then its bytes."""
    assert stored.codec is not None, "no value is kept nowhere"
    body = stored.data if stored.text is None else stored.text.encode()
    return bytes([stored.codec]) + (body or b"")


def unpacked(raw: bytes) -> Stored | None:
    """Return the stored form again, None for no bytes at all. Nothing says yet that it is one, or the one asked for."""
    if not raw:
        return None
    kind, body = raw[0], raw[1:]
    return Stored(kind, body.decode(errors="replace"), None) if kind == codec.JSON_TEXT else Stored(kind, None, body)


class _Tried:
    """What both clients share: what an error means, and whether it is too soon to try again."""

    def __init__(self, settings: Settings, failed: Callable[[], None], timer: Callable[[], float]) -> None:
        self.ttl = max(1, round(settings.cache_ttl))
        self._failed, self._timer = failed, timer
        self._resting_until = float("-inf")

    @property
    def resting(self) -> bool:
        """Whether an error has come a moment ago."""
        return self._timer() < self._resting_until

    @contextmanager
    def trying(self) -> Iterator[None]:
        # Whatever it is that a client's library raises, of sockets, names, protocols: a read must not fail of it.
        try:
            yield
        except Exception:
            self._resting_until = self._timer() + PAUSE
            self._failed()


class Level2(_Tried):
    """The Redis of a Store. Any thread may use it."""

    def __init__(self, settings: Settings, failed: Callable[[], None], timer: Callable[[], float] = time.monotonic):
        super().__init__(settings, failed, timer)
        with redis_installed():
            from redis import Redis
        self._client: Any = _client(Redis, settings.redis_url or "", _patience())

    def get(self, name: str) -> bytes | None:
        """Return what lies there under a name, None where nothing does or there is no answer."""
        found = None
        if not self.resting:
            with self.trying():
                found = self._client.get(name)
        return found

    def put(self, name: str, raw: bytes) -> None:
        """Lay something there, for as long as the settings say."""
        if not self.resting:
            with self.trying():
                self._client.set(name, raw, ex=self.ttl)

    def close(self) -> None:
        self._client.close()


class AsyncLevel2(_Tried):
    """The Redis of an AsyncStore, of one event loop."""

    def __init__(self, settings: Settings, failed: Callable[[], None], timer: Callable[[], float] = time.monotonic):
        super().__init__(settings, failed, timer)
        with redis_installed():
            from redis.asyncio import Redis
        self._client: Any = _client(Redis, settings.redis_url or "", _patience(of="asyncio"))

    async def get(self, name: str) -> bytes | None:
        """Return what lies there under a name, None where nothing does or there is no answer."""
        found = None
        if not self.resting:
            with self.trying():
                async with asyncio.timeout(PATIENCE):
                    found = await self._client.get(name)
        return found

    async def put(self, name: str, raw: bytes) -> None:
        """Lay something there, for as long as the settings say."""
        if not self.resting:
            with self.trying():
                async with asyncio.timeout(PATIENCE):
                    await self._client.set(name, raw, ex=self.ttl)

    async def close(self) -> None:
        await self._client.aclose()


@contextmanager
def redis_installed() -> Iterator[None]:
    """Turn the lack of the client's library into what to do about it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InvalidValue(
            f"the setting redis_url needs the extra: pip install 'statedb[redis]' ({error})", path="/redis_url"
        ) from error


def _client(kind: Any, url: str, options: dict[str, Any]) -> Any:
    """Return a client that has sent nothing yet. Raises InvalidValue where its URL is none, or has options unknown."""
    from redis import RedisError

    try:
        client = kind.from_url(url, **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # or the first read would meet an option that is none
    except (ValueError, TypeError, RedisError):
        # Not chained, and without what it says: where the URL is cut in the wrong place, that is part of a password.
        raise InvalidValue(
            "the setting redis_url is not the URL of a Redis, such as redis://:password@host:6379/0, rediss://… or "
            "unix://…; what is no letter or digit in a password is percent-encoded",
            path="/redis_url",
        ) from None
    return client


def _patience(of: str = "") -> dict[str, Any]:
    """Return the options of a client that waits for a moment and does not try again by itself, as it would 3 times."""
    if of == "asyncio":
        from redis.asyncio.retry import Retry as Again
    else:
        from redis.retry import Retry as Again  # type: ignore[assignment]
    from redis.backoff import NoBackoff

    return {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "retry": Again(NoBackoff(), 0),
        "retry_on_timeout": False,
    }
