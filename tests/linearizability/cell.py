"""What one key of a store does, one call after the other: the model that histories of a store are held against."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tests.linearizability.checker import Model
from tests.linearizability.history import Call, Operation


class Value(NamedTuple):
    """What is written: a token that is written once, and the token that an update found there."""

    token: str
    over: str | None = None


class Cell(NamedTuple):
    """A key: how many versions it has had, and its value, if any. Versions go on after a deletion, which is one."""

    versions: int = 0
    value: Value | None = None

    @property
    def version(self) -> int:
        """The version that `expected_version` is held against."""
        return self.versions if self.value else 0


def apply(cell: Cell, call: Call) -> tuple[Any, Cell]:
    """Return what a call returns, and what it leaves. A conflict returns the version and the value that stood."""
    word, *given = call
    if word in ("cas", "cas delete") and given.pop(0) != cell.version:
        return ("conflict", cell.version, cell.value), cell
    if word == "get":
        return cell.value, cell
    if word == "entry":
        return (cell.version, cell.value) if cell.value else None, cell
    if word in ("delete", "cas delete"):
        return cell.value is not None, Cell(cell.versions + 1) if cell.value else cell
    over = cell.value.token if word == "update" and cell.value else None
    made = Cell(cell.versions + 1, Value(given[0], over))
    return ((made.version, made.value) if word == "update" else made.version), made


def latest(operation: Operation) -> float:
    """Return how many versions a key had at most when an operation had its result: they never become fewer."""
    match operation.call[0], operation.result:
        case (("set" | "cas"), int(version)):
            return version - 1
        case "update", (int(version), _):
            return version - 1
        case "entry", (int(version), _):
            return version
        case _, ("conflict", int(version), value) if value is not None:
            return version
    return math.inf


CELL = Model(Cell(), apply, lambda cell: cell.versions, latest)
