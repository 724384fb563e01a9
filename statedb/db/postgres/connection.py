"""What a transaction does on a connection to the server: it reads on a snapshot, keeps its rows back, and commits once.

    as a rule:  [begin snapshot · newest · first read] … reads … ─▶ [end · begin · TURN · rows · commit]
    held:       [begin · TURN · newest · first read] … reads and rows … ─▶ [rows · commit]

Brackets are journeys to the server. As a rule a transaction holds nobody up until all of it is known; where it was
overtaken again and again, it takes the turn to write first.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Table

from statedb.db.footprint import Footprint
from statedb.db.newest import NEWEST, Newest
from statedb.db.postgres.failures import NeedsTurn, Overtaken
from statedb.db.postgres.landing import landing
from statedb.db.postgres.site import Driver, Query, Site
from statedb.db.postgres.turn import take
from statedb.db.postgres.writeset import WriteSet
from statedb.db.rows import INSERT_COMMIT
from statedb.db.statements import Parameters, Row, Statement

_READ: Query = ("begin isolation level repeatable read read only", None)
_SNAPSHOT: Query = ("begin isolation level repeatable read", None)
_BEGIN: Query = ("begin isolation level read committed", None)
_COMMIT: Query = ("commit", None)
_ROLLBACK: Query = ("rollback", None)

_NOTHING = Footprint()
_UNSENT = 10.0
"""Seconds the server waits for the rest of a commit once it has begun it."""

_KEPT_BACK = 500
"""Rows kept back by a transaction that holds the turn; an import of many sends them in parts."""


class Landed(NamedTuple):
    """Where a transaction's commits came to stand: `shift` revisions later than it thought, at `at` or later."""

    shift: int
    at: int


class Connection:
    """A connection, for the time of one transaction or glance."""

    path: str | None = None

    def __init__(self, driver: Driver, site: Site) -> None:
        self._driver, self._site = driver, site
        self.wall = site.wall
        self._opening: list[Query] = []
        self._rows = WriteSet()
        self._newest: Newest | None = None
        self._begun = self._held = False
        self._failure: Exception | None = None

    # ---- reading

    def all(self, statement: Statement, parameters: Parameters) -> list[Row]:
        return self._ask(self._query(statement, parameters))

    def one(self, statement: Statement, parameters: Parameters) -> Row | None:
        rows = self._ask(self._query(statement, parameters))
        return rows[0] if rows else None

    def settled(self, statement: Statement, parameters: Parameters) -> Row | None:
        query = self._query(statement, parameters)
        rows = self._ask(query) if self._opening else self._driver.fetch(query)
        return rows[0] if rows else None

    def newest(self) -> Newest:
        if self._newest is None and self._opening:
            self._journey([])
        if self._newest is None:
            [row] = self._ask(self._query(NEWEST, {}))
            self._newest = Newest.of(row)
        return self._newest

    def size(self) -> int:
        [[size]] = self._ask((_SIZE, {"schema": self._site.schema}))
        return int(size)

    def faults(self) -> list[str]:
        found = self._ask((_FAULTS, {"schema": self._site.schema}))
        return [f"the server holds {kind} {name} to be invalid" for kind, name in found]

    # ---- writing

    def run(self, statement: Statement, parameters: Parameters) -> None:
        # Sent between two commits only: a commit's own rows land with it.
        if self._held and statement is INSERT_COMMIT and len(self._rows) > _KEPT_BACK:
            self._journey([])
        self._rows.add(statement, parameters)

    def new_id(self, table: Table) -> int:
        return self._site.new_id(table, self._driver)

    # ---- beginning and ending

    def begin_read(self) -> None:
        """Hold one snapshot until `rollback`."""
        self._opening = [_READ]

    def begin_write(self, *, held: bool) -> None:
        """Begin a transaction, on a snapshot or with the turn to write held; it goes with what is asked first."""
        newest = self._query(NEWEST, {})
        patience = self._site.settings.transaction_timeout
        self._held = held
        self._opening = [_BEGIN, take(self._site, idle=patience), newest] if held else [_SNAPSHOT, newest]

    def commit(self, footprint: Footprint, now: int) -> Landed | None:
        """Write the rows that were kept back and commit; None where there were none.

        Raises Overtaken where the footprint has been trodden on, and Lost where nobody knows how it ended.
        """
        if self._failure is not None:
            raise self._failure  # which the function that met it may have swallowed
        if self._held and (self._begun or self._rows):
            self._journey([_COMMIT])
            self._begun = False
            return Landed(0, 0)
        if not self._rows:
            self.rollback()
            return None
        return self._commit_at_once(footprint, now)

    def rollback(self) -> None:
        """Take everything back and end the transaction, if there is one."""
        self._opening, self._rows = [], WriteSet()
        if self._begun:
            self._begun = False
            self._driver.fetch(_COMMIT if self._unharmed() else _ROLLBACK)

    # ---- inside

    def _unharmed(self) -> bool:
        """Tell whether the server has seen nothing of the transaction but reading that went well."""
        return self._failure is None and not self._held

    def _commit_at_once(self, footprint: Footprint, now: int) -> Landed:
        # Not rolled back, though it has written nothing: at that the driver would forget every statement it prepared.
        before = [_COMMIT] if self._begun else []
        start = [*before, _BEGIN, take(self._site, idle=_UNSENT)]
        base, rows = self._rows.base, self._written(now, footprint)
        self._begun = True
        try:
            answers = self._driver.together([*start, *rows, _COMMIT])
        except Exception as error:
            self._failure = error
            raise
        self._begun = False
        [[revision, at, refused]] = answers[len(start)]
        if refused is not None:
            raise Overtaken(f"another transaction changed {refused} meanwhile")
        return Landed(revision - base, at)

    def _written(self, now: int = 0, footprint: Footprint = _NOTHING) -> list[Query]:
        """Return what writes the rows that were kept back, which are kept no longer."""
        rows, self._rows = self._rows, WriteSet()
        if not rows:
            return []
        others = [self._query(statement, parameters) for statement, parameters in rows.others]
        return [landing(self._site, rows, now, footprint), *others]

    def _query(self, statement: Statement, parameters: Parameters) -> Query:
        text, order = statement.on(self._site.dialect)
        return text, order(parameters)

    def _ask(self, query: Query) -> list[Row]:
        return self._journey([query])[0]

    def _journey(self, queries: list[Query]) -> list[list[Row]]:
        """Send what was kept back and then some queries, and return the answers to those."""
        if self._rows and not self._held:
            self._failure = NeedsTurn("it reads what it has just written")
            raise self._failure
        opening, self._opening = self._opening, []
        rows = self._written()
        sent = [*opening, *rows, *queries]
        self._begun = self._begun or bool(opening)
        try:
            answers = self._driver.together(sent) if len(sent) > 1 else [self._driver.fetch(query) for query in sent]
        except Exception as error:
            self._failure = error
            raise
        if len(opening) > 1:
            self._newest = Newest.of(answers[len(opening) - 1][0])
        return answers[len(sent) - len(queries) :]


_SIZE = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'p')
"""
_FAULTS = """
select 'the index', c.relname from pg_index i
join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and not (i.indisvalid and i.indisready)
union all
select 'the constraint', k.conname from pg_constraint k join pg_namespace n on n.oid = k.connamespace
where n.nspname = %(schema)s and not k.convalidated
"""
