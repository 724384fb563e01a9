"""Histories: what was asked of which key, from when to when, and what came back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Call = tuple[Any, ...]
"""What is asked: a word and its arguments."""


@dataclass(frozen=True)
class Operation:
    """An operation and its interval, on any clock that all who took part share.

    Without `returned` nobody knows what came of it, since who asked was killed: it may take effect at any time after
    it was invoked, or never. `result` means nothing then.
    """

    key: str
    call: Call
    invoked: int
    returned: int | None = None
    result: Any = None
    by: str = ""

    @property
    def known(self) -> bool:
        return self.returned is not None

    def __str__(self) -> str:
        what = f"{self.by} {self.key}: {' '.join(map(str, self.call))}"
        return (
            f"{what} -> {self.result} [{self.invoked}, {self.returned}]"
            if self.known
            else f"{what} -> ? [{self.invoked}"
        )


def by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Return the operations of each key. A history of keys is linearizable if and only if that of each of them is."""
    found: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        found[operation.key].append(operation)
    return found
