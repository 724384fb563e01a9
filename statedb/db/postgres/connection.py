"""What a transaction does on a connection to the server: it reads on a snapshot, keeps its rows back, and lands once.

    as a rule:  [first read, and where the log stands] … [begin snapshot · read] … reads …  ─▶ [end · TURN · rows]
    held:       [begin · TURN · where the log stands · first read] … reads and rows …       ─▶ [rows · commit]

Brackets are journeys to the server. As a rule a transaction holds nobody up until all of it is known, and opens no
snapshot for a single read; where it was overtaken again and again, it takes the turn to write first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Table, Update, literal_column

from statedb.db.footprint import Footprint
from statedb.db.newest import NEWEST, Newest
from statedb.db.postgres.failures import NeedsTurn, Overtaken
from statedb.db.postgres.landing import REFUSED, landing
from statedb.db.postgres.site import Driver, Query, Site
from statedb.db.postgres.turn import patience, take
from statedb.db.postgres.writeset import WriteSet
from statedb.db.statements import Parameters, Row, Statement
from statedb.times import EARLIEST

_READ: Query = ("begin isolation level repeatable read read only", ())
_SNAPSHOT: Query = ("begin isolation level repeatable read", ())
_BEGIN: Query = ("begin isolation level read committed", ())
_COMMIT: Query = ("commit", ())
_ROLLBACK: Query = ("rollback", ())

_NOTHING = Footprint()
_UNSENT = 10.0
"""Seconds the server waits for the rest of a commit once it has begun it."""

_LADEN = 16 * 1024 * 1024
"""Characters and bytes of values kept back; each goes twice, as the newest and as a version, and bytes in two each."""

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
        self._moment: int | None = None
        self._opening: list[Query] = []
        self._rows = WriteSet()
        self._newest: Newest | None = None
        self._begun = self._held = self._alone = self._patient = False
        self._failure: Exception | None = None
        self.wrote = False
        """Whether rows have been sent."""

    # ---- beginning

    def begin_read(self) -> None:
        """Hold one snapshot until `rollback`."""
        self._opening = [_READ]

    def begin_write(self) -> None:
        """Begin a transaction on a snapshot, which is not opened unless something is read a second time."""
        self._opening = [_SNAPSHOT, self._query(NEWEST, {})]
        self._alone = True

    def begin_held(self) -> None:
        """Begin a transaction with the turn to write held."""
        self._opening = [_BEGIN, take(self._site, idle=self._timeout), self._query(NEWEST, {})]
        self._held = self._patient = True

    def open(self, *, at_leisure: bool = False) -> None:
        """Open the snapshot now: several read on it, or somebody will who may take his time (`at_leisure`)."""
        self._opening = [_SNAPSHOT, patience(self._timeout), self._query(NEWEST, {})]
        self._alone, self._patient = False, at_leisure
        self._journey([])

    # ---- reading

    def wall(self) -> int:
        """Return the time, asked for once: transactions that are committed together are all of one moment."""
        if self._moment is None:
            self._moment = self._site.wall()
        return self._moment

    def all(self, statement: Statement, parameters: Parameters) -> list[Row]:
        return self._journey([self._query(statement, parameters)])[0]

    def one(self, statement: Statement, parameters: Parameters) -> Row | None:
        query = self._query(statement, parameters)
        if self._alone:
            return self._first(query)
        [rows] = self._journey([query])
        return rows[0] if rows else None

    def beneath(self, statement: Statement, parameters: Parameters) -> list[Row]:
        return self.all(statement, parameters)

    def settled(self, statement: Statement, parameters: Parameters) -> Row | None:
        query = self._query(statement, parameters)
        found = self._site.settled.get(query)
        if found is None and (rows := self._driver.fetch(query)):
            found = self._site.keep(query, rows[0])
        return found

    def newest(self) -> Newest:
        if self._newest is None and self._opening and not self._alone:
            self._journey([])
        if self._newest is None:
            self._alone = False
            [row] = self._driver.fetch(self._query(NEWEST, {}))
            self._newest = Newest.of(row)
        return self._newest

    def size(self) -> int:
        [[[size]]] = self._journey([(_SIZE, (self._site.schema,))])
        return int(size)

    def faults(self) -> list[str]:
        [found] = self._journey([(_FAULTS, (self._site.schema,))])
        return [f"the server holds {kind} {name} to be invalid" for kind, name in found]

    # ---- writing

    def run(self, statement: Statement, parameters: Parameters) -> None:
        self._rows.add(statement, parameters)

    def insist(self) -> None:
        """Have the turn to write from the transaction's beginning. Raises NeedsTurn, and is run again."""
        if not self._held:
            self._failure = NeedsTurn("it writes what no two may write at once")
            raise self._failure

    def gather(self) -> None:
        """Go on: rows are always kept back."""

    def lighten(self) -> bool:
        if not self._held or not (len(self._rows) > _KEPT_BACK or self.laden):
            return False
        self._journey([])
        return True

    @property
    def laden(self) -> bool:
        """Whether the values kept back are as much as should be sent at once, unless one transaction is that large."""
        return self._rows.weight > _LADEN

    def new_id(self, table: Table) -> int:
        return self._site.new_id(table, self._driver)

    # ---- ending

    def check(self) -> None:
        """Raise what went wrong on the way; a function that met it may have swallowed it, or told it otherwise."""
        if self._failure is not None:
            raise self._failure

    def commit(self, footprint: Footprint, now: int) -> Landed | None:
        """Write the rows that were kept back and commit; None where there were none.

        Raises Overtaken where the footprint has been trodden on, and Lost where nobody knows how it ended.
        """
        self.check()
        if self._held and (self._begun or self._rows):
            self._journey([_COMMIT])
            self._begun = False
            return Landed(0, EARLIEST)
        if not self._rows:
            self.rollback()
            return None
        return self._land(footprint, now)

    def rollback(self) -> None:
        """Take everything back and end the transaction, if there is one."""
        self._opening, self._rows, self._alone = [], WriteSet(), False
        if self._begun:
            self._begun = False
            self._end()

    # ---- inside

    def _end(self) -> None:
        try:
            # At a rollback the driver forgets every statement it has prepared.
            self._driver.fetch(_ROLLBACK if self._failure or self._held else _COMMIT)
        except Exception:
            # Lost, or in the middle of something; whoever ends a transaction has an error of his own to tell.
            self._driver.drop()

    @property
    def _timeout(self) -> float:
        return self._site.settings.transaction_timeout

    def _first(self, query: Query) -> Row | None:
        """Return the first row of the first thing that is read, and note where the log stands in the same breath."""
        self._alone = False
        text, given = query
        newest, _ = self._query(NEWEST, {})
        [row] = self._driver.fetch((_beside(newest, text), given))
        place = len(Newest._fields)
        self._newest = Newest.of(row[:place])
        return row[place + 1 :] if row[place] else None

    def _land(self, footprint: Footprint, now: int) -> Landed:
        base = self._base()
        before = [_COMMIT] if self._begun else []
        # What goes in one journey is one transaction, of the level a session begins with.
        begin, end = ([], []) if self._site.reads_committed else ([_BEGIN], [_COMMIT])
        start = [*before, *begin, take(self._site, idle=_UNSENT)]
        sent = [*start, *self._written(now, footprint), *end]
        self._begun = True
        answers = self._ask(sent)
        self._begun = False
        [[revision, at, refused, *_]] = answers[len(start)]
        if refused is not None:
            raise Overtaken(f"another transaction changed {refused} meanwhile")
        return Landed(revision - base, at)

    def _written(self, now: int = EARLIEST, footprint: Footprint = _NOTHING) -> list[Query]:
        """Return what writes the rows that were kept back, which are kept no longer."""
        if not self._rows:
            return []
        base, rows = self._base(), self._rows
        self._rows, self.wrote = WriteSet(), True
        others = [self._query(_unless_refused(statement), parameters) for statement, parameters in rows.others]
        return [landing(self._site, rows, base, now, footprint), *others]

    def _base(self) -> int:
        """Return the revision before the first that the rows make, or upon which they are written beside the log."""
        return self._rows.base if self._rows.makes_commits else self.newest().revision

    def _query(self, statement: Statement, parameters: Parameters) -> Query:
        text, order = statement.on(self._site.dialect)
        return text, order(parameters)

    def _journey(self, queries: list[Query]) -> list[list[Row]]:
        """Send what was kept back and then some queries, and return the answers to those."""
        if self._rows and not self._held:
            self._failure = NeedsTurn("it reads what it has just written")
            raise self._failure
        opening, self._opening, self._alone = self._opening, [], False
        sent = [*opening, *self._written(), *queries]
        self._begun = self._begun or bool(opening)
        # What may be left idle ends with a question by itself: the driver ends a pipeline with a message after which
        # the server does not count for how long the transaction is idle.
        parts = [sent[:-1], sent[-1:]] if self._patient and opening else [sent]
        answers = [rows for part in parts for rows in self._ask(part)]
        if len(opening) > 1:
            self._stand(Newest.of(answers[len(opening) - 1][0]))
        return answers[len(sent) - len(queries) :]

    def _ask(self, queries: list[Query]) -> list[list[Row]]:
        try:
            return self._driver.together(queries) if len(queries) > 1 else [self._driver.fetch(queries[0])]
        except Exception as error:
            self._failure = error
            raise

    def _stand(self, newest: Newest) -> None:
        """Note where the log stands on the snapshot, which must be where it stood at the first read."""
        if self._newest is None:
            self._newest = newest
        elif self._newest.revision != newest.revision:
            self._failure = Overtaken("another transaction was committed between two reads")
            raise self._failure


@lru_cache(maxsize=64)
def _beside(newest: str, text: str) -> str:
    """Return the text that reads where the log stands and, in the same moment, one row of something else."""
    return f"select n.*, q.* from ({newest}) n left join (select true, s.* from ({text}) s) q on true"


@lru_cache(maxsize=64)
def _unless_refused(statement: Statement) -> Statement:
    """Return a statement that does nothing where the rows before it were refused."""
    clause = statement.clause
    assert isinstance(clause, Update), "only the rows that an update finds by itself are not landed"
    return Statement(
        clause.where(literal_column(f"current_setting('{REFUSED}')") == literal_column("''")), listed=False
    )


_SIZE = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p')
"""
_FAULTS = """
select 'the index', c.relname from pg_index i
join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and not (i.indisvalid and i.indisready)
union all
select 'the constraint', k.conname from pg_constraint k join pg_namespace n on n.oid = k.connamespace
where n.nspname = $1 and not k.convalidated
"""
