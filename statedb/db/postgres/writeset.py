"""The rows of a transaction, kept back until it commits: of what happens to one row, only the outcome."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert, Update

from statedb.db.statements import Parameters, Statement

Record = dict[str, Any]


class WriteSet:
    """Rows to be made, rows to be changed, and the few statements that are neither."""

    def __init__(self) -> None:
        self.made: dict[str, list[Record]] = {}
        self.changed: dict[str, dict[int, Record]] = {}
        self.others: list[tuple[Statement, Parameters]] = []
        self.weight = 0
        """Characters and bytes of the values among them."""
        self._new: dict[tuple[str, int], Record] = {}

    def __len__(self) -> int:
        return sum(map(len, self.made.values())) + sum(map(len, self.changed.values())) + len(self.others)

    def add(self, statement: Statement, parameters: Parameters) -> None:
        """Keep what a statement would do: an INSERT makes a row, an UPDATE with :row changes the one with that id."""
        self.weight += len(parameters.get("value") or parameters.get("data") or "")
        clause = statement.clause
        if isinstance(clause, Insert):
            self._make(clause.table.name, dict(parameters))
        elif isinstance(clause, Update) and "row" in parameters:
            self._change(str(clause.table.description), dict(parameters))
        else:
            self.others.append((statement, parameters))

    @property
    def makes_commits(self) -> bool:
        """Whether commits are among the rows; there are rows that belong to none."""
        return "state_commits" in self.made

    @property
    def base(self) -> int:
        """The revision before the first commit among the rows."""
        return int(self.made["state_commits"][0]["revision"]) - 1

    @property
    def token(self) -> str | None:
        """What the transaction will be known by, should its answer be lost."""
        token: str | None = self.made["state_commits"][0]["token"] if self.makes_commits else None
        return token

    def _make(self, table: str, record: Record) -> None:
        self.made.setdefault(table, []).append(record)
        if "id" in record:
            self._new[table, record["id"]] = record

    def _change(self, table: str, record: Record) -> None:
        row = record.pop("row")
        new = self._new.get((table, row))
        if new is not None:
            new.update(record)
        else:
            self.changed.setdefault(table, {}).setdefault(row, {"id": row}).update(record)
