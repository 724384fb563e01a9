"""Wing and Gong's search for an order that explains a history, with Lowe's memory of configurations.

J. Wing and C. Gong, Testing and verifying concurrent objects (1993); G. Lowe, Testing for linearizability (2017).
The search takes operations one by one, each of those that nothing else must precede, as long as what they returned is
what they would have. Where it comes to a configuration (what has been taken, and the state that left) a second time,
it turns back at once: what follows was tried before. The keys of a history are searched apart from each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, NamedTuple, TypeVar

from tests.linearizability.history import Call, Operation, by_key

S = TypeVar("S")


@dataclass(frozen=True)
class Model(Generic[S]):
    """What an object does one call after the other. States are hashable.

    `apply` returns the result of a call in a state, and the state it leaves. `age` of a state never falls, and `latest`
    is the greatest age at which an operation can have had its result. Without those two, operations of which nobody
    knows are tried in all orders of all choices wherever the search is stuck: 48 of them made a history of 23,000 cost
    more than two million configurations, which are 24,000 so.
    """

    initial: S
    apply: Callable[[S, Call], tuple[Any, S]]
    age: Callable[[S], float] = lambda _: 0
    latest: Callable[[Operation], float] = lambda _: math.inf


@dataclass(frozen=True)
class Verdict:
    """An order that explains a history; where there is none, the longest that explains its beginning.

    `stuck` are the operations one of which would have to be next then, though none of them can be; empty where all is
    well. `looked` counts the configurations that were looked at.
    """

    order: tuple[Operation, ...]
    stuck: tuple[Operation, ...]
    looked: int

    @property
    def linearizable(self) -> bool:
        return not self.stuck

    def __str__(self) -> str:
        if self.linearizable:
            return f"{len(self.order)} operations, in {self.looked} configurations"
        last, next_ = (", ".join(map(str, each)) for each in (self.order[-5:], self.stuck))
        return f"after {len(self.order)} operations, the last of them {last}, none of these can be next: {next_}"


def check(operations: Iterable[Operation], model: Model[S]) -> dict[str, Verdict]:
    """Return the verdict on each key of a history."""
    return {key: _Search(each, model).run() for key, each in sorted(by_key(operations).items())}


def holds(operations: Iterable[Operation], model: Model[S]) -> bool:
    """Tell whether a history is linearizable."""
    return all(verdict.linearizable for verdict in check(operations, model).values())


class _Configuration(NamedTuple, Generic[S]):
    """What has been taken, and the state that left.

    Of the operations with a result, all up to `low` and beyond that the bits of `ahead`: as many bits as operations
    overlap, not as many as there are, so that a history of n operations takes n small configurations and not n of n
    bits. Of those without, the bits of `late`.
    """

    low: int
    ahead: int
    late: int
    state: S


class _Search(Generic[S]):
    def __init__(self, operations: list[Operation], model: Model[S]) -> None:
        in_order = sorted(operations, key=lambda each: each.invoked)
        self._known = [each for each in in_order if each.known]
        self._unknown = [each for each in in_order if not each.known]
        self._model = model
        self._latest = [model.latest(each) for each in self._known]
        # Of each operation and all after it, the least.
        self._latest_from = [*[*accumulate(reversed(self._latest), min)][::-1], math.inf]

    def run(self) -> Verdict:
        first = _Configuration(0, 0, 0, self._model.initial)
        seen = {first}
        taken: list[Operation] = []
        ways = [(first, self._next(first))]
        longest: tuple[tuple[Operation, ...], _Configuration[S]] = (), first
        while ways and ways[-1][0].low < len(self._known):
            now, way = ways[-1]
            for operation, found in way:
                if found not in seen and not self._too_late(found):
                    seen.add(found)
                    taken.append(operation)
                    ways.append((found, self._next(found)))
                    break
            else:
                if len(taken) > len(longest[0]):
                    longest = tuple(taken), now
                ways.pop()
                del taken[-1:]
        if ways:
            return Verdict(tuple(taken), (), len(seen))
        order, last = longest
        return Verdict(order, tuple(self._known[number] for number in self._possible(last)[0]), len(seen))

    def _next(self, now: _Configuration[S]) -> Iterator[tuple[Operation, _Configuration[S]]]:
        """Yield what may be taken next, and what that leads to. Where nobody knows, it may as well not be taken."""
        possible, deadline = self._possible(now)
        for number in possible:
            operation = self._known[number]
            result, state = self._model.apply(now.state, operation.call)
            if result == operation.result:
                low, ahead = now.low, now.ahead | 1 << (number - now.low)
                while ahead & 1:
                    low, ahead = low + 1, ahead >> 1
                yield operation, _Configuration(low, ahead, now.late, state)
        for number, operation in enumerate(self._unknown):
            if operation.invoked > deadline:
                break
            if not now.late >> number & 1:
                _, state = self._model.apply(now.state, operation.call)
                if state != now.state:  # otherwise it makes no difference to anybody
                    yield operation, now._replace(late=now.late | 1 << number, state=state)

    def _too_late(self, now: _Configuration[S]) -> bool:
        """Tell whether there is an operation still to be taken that cannot be any more."""
        beyond = now.ahead.bit_length()
        left = [self._latest[now.low + place] for place in range(beyond) if not now.ahead >> place & 1]
        return self._model.age(now.state) > min([*left, self._latest_from[now.low + beyond]])

    def _possible(self, now: _Configuration[S]) -> tuple[list[int], float]:
        """Return the operations with a result that may be next, and until when others may have been invoked.

        Those are the ones invoked before any that is still to be taken returned.
        """
        deadline = math.inf
        possible: list[int] = []
        for number in range(now.low, len(self._known)):
            operation = self._known[number]
            if operation.invoked > deadline:
                break
            if not now.ahead >> (number - now.low) & 1:
                assert operation.returned is not None
                deadline = min(deadline, operation.returned)
                possible.append(number)
        return possible, deadline
