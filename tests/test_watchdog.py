"""The watch over an open transaction. Its waits end by themselves; no test measures them."""

from __future__ import annotations

import threading

from statedb.watchdog import Watchdog
from tests.helpers import HANG


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "statedb-watchdog"]


def test_what_is_watched_too_long_is_called_back_once() -> None:
    called = threading.Semaphore(0)
    dog = Watchdog(0.01)
    dog.watch(lambda: called.release())
    assert called.acquire(timeout=HANG)
    second = threading.Event()
    dog.watch(second.set)
    assert second.wait(HANG)
    assert not called.acquire(blocking=False)
    dog.stop()
    assert watchdogs() == []


def test_it_costs_no_thread_until_something_is_watched_and_none_after_it_is_stopped() -> None:
    dog = Watchdog(60)
    assert watchdogs() == []
    dog.watch(lambda: None)
    assert len(watchdogs()) == 1
    dog.stop()
    dog.stop()
    assert watchdogs() == []


def test_it_may_be_stopped_from_what_it_calls() -> None:
    done = threading.Event()
    dog = Watchdog(0.01)

    def stop() -> None:
        dog.stop()
        done.set()

    dog.watch(stop)
    assert done.wait(HANG)
    for thread in watchdogs():
        thread.join(HANG)
    assert watchdogs() == []
