"""The lock that goes to each in turn."""

from __future__ import annotations

import threading

from statedb.db.threads import FairLock
from tests.helpers import HANG


def until(lock: FairLock, waiting: int) -> None:
    """Return once so many threads wait for a lock."""
    while len(lock._waiting) != waiting:
        pass


def test_it_goes_to_whoever_has_waited_longest() -> None:
    lock, order = FairLock(), list[int]()
    assert lock.acquire(0)

    def work(number: int) -> None:
        assert lock.acquire(HANG)
        order.append(number)
        lock.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        until(lock, number + 1)
    lock.release()
    assert not lock.acquire(0) or order == list(range(5))
    for thread in threads:
        thread.join(HANG)
    assert order == list(range(5))


def test_one_who_gave_up_is_not_given_it() -> None:
    lock = FairLock()
    assert lock.acquire(0)
    assert not lock.acquire(0.01)
    lock.release()
    assert lock.acquire(0)
    assert not lock.acquire(0)


def test_one_who_is_given_it_while_giving_up_has_it() -> None:
    class Late(FairLock):
        def _withdraw(self, mine: threading.Lock) -> bool:
            self.release()  # as by another thread, at this very moment
            return super()._withdraw(mine)

    lock = Late()
    assert lock.acquire(timeout=0)
    assert lock.acquire(timeout=0)
    lock.release()
    assert lock.acquire(timeout=0)
