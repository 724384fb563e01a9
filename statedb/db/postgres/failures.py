"""What the driver's errors mean: to a caller, or to the library, which may try again."""

from __future__ import annotations

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolClosed, PoolTimeout

from statedb.errors import Corrupted, DiskFull, InvalidValue, NotAStore, ReadOnly, StateDBError, StoreBusy, StoreClosed


class Overtaken(Exception):
    """Another transaction has changed what this one has read: nothing is written, and it may be tried again."""


class NeedsTurn(Overtaken):
    """A transaction reads what it has just written, so it has to hold the turn to write from its beginning."""


class Lost(Exception):
    """The connection to the server is gone, and with it any word of how what was sent has ended."""


_GONE = (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleInTransactionSessionTimeout)
_NOT_LET_IN = (pg.InvalidCatalogName, pg.ReservedName, pg.InvalidPassword, pg.InvalidAuthorizationSpecification)
_OVERTAKEN = (pg.UniqueViolation, pg.SerializationFailure, pg.DeadlockDetected)


def meaning(error: Exception, *, closed: bool) -> Exception:
    """Return what a driver's error means, itself where it is a defect of the library. `closed`: its connection is."""
    if closed or isinstance(error, _GONE):
        return Lost(str(error))
    if isinstance(error, _OVERTAKEN):
        return Overtaken("another transaction wrote the same at the same moment")
    return _said(error) or error


def interruption(error: Exception) -> BaseException | None:
    """Return what broke a pipeline off where the driver reports but what that led to: Ctrl-C, or a cancellation."""
    behind = error.__context__
    return None if isinstance(behind, Exception) else behind


def at_opening(error: Exception) -> Exception:
    """Return what an error means to whoever opens a store."""
    meant = meaning(error, closed=False)
    return StoreBusy(f"the server cannot be reached: {_first(error)}") if isinstance(meant, Lost) else meant


def _said(error: Exception) -> StateDBError | None:
    match error:
        case pg.LockNotAvailable() | pg.QueryCanceled():
            return StoreBusy(
                "another writer held the store for longer than Settings.busy_timeout; "
                "keep transactions short, or raise it"
            )
        case pg.UntranslatableCharacter() | psycopg.DataError():
            return InvalidValue(f"the server cannot hold this text: {_first(error)}")
        case pg.DiskFull():
            return DiskFull("the server's disk is full; nothing of this transaction was written")
        case pg.ReadOnlySqlTransaction() | pg.InsufficientPrivilege():
            return ReadOnly(f"the server does not let this user write here: {_first(error)}")
        case pg.DataCorrupted() | pg.IndexCorrupted():
            return Corrupted(f"the server finds the database damaged: {_first(error)}; restore a backup")
        case _ if isinstance(error, _NOT_LET_IN):
            return NotAStore(f"the server does not let us in: {_first(error)}")
        case PoolClosed():
            return StoreClosed("the store is closed; open it again")
        case PoolTimeout():
            return StoreBusy(
                "every connection to the server was in use, or none could be made, for longer than "
                "Settings.busy_timeout; raise Settings.postgres_pool, or look after the server"
            )
        case psycopg.ProgrammingError() if error.sqlstate is None:
            return NotAStore(f"the address of the server is not one: {_first(error)}")
        case psycopg.OperationalError():
            return StoreBusy(f"the server cannot be reached: {_first(error)}")
    return None


def _first(error: Exception) -> str:
    """Return the first line of a message of the server's."""
    return str(error).strip().split("\n")[0]
