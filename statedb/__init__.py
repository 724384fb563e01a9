"""An embedded store that remembers: versioned state for agents and applications, in one SQLite file."""

from statedb.aio import AsyncStore, AsyncTransaction
from statedb.config import TIERS, Settings, Tier
from statedb.errors import (
    Compacted,
    Corrupted,
    DiskFull,
    InTransaction,
    InvalidKey,
    InvalidValue,
    NoSuchRevision,
    NoSuchVersion,
    NotAStore,
    ReadOnly,
    StateDBError,
    StoreBusy,
    StoreClosed,
    StoreTooNew,
    TransactionAborted,
    ValueTooLarge,
    VersionConflict,
)
from statedb.models import MISSING, Change, Commit, Entry, Health, StateType, Version
from statedb.store import Store
from statedb.transaction import Joined, Transaction
from statedb.values.merge import Clash

__all__ = [
    "MISSING",
    "TIERS",
    "AsyncStore",
    "AsyncTransaction",
    "Change",
    "Clash",
    "Commit",
    "Compacted",
    "Corrupted",
    "DiskFull",
    "Entry",
    "Health",
    "InTransaction",
    "InvalidKey",
    "InvalidValue",
    "Joined",
    "NoSuchRevision",
    "NoSuchVersion",
    "NotAStore",
    "ReadOnly",
    "Settings",
    "StateDBError",
    "StateType",
    "Store",
    "StoreBusy",
    "StoreClosed",
    "StoreTooNew",
    "Tier",
    "Transaction",
    "TransactionAborted",
    "ValueTooLarge",
    "Version",
    "VersionConflict",
]
__version__ = "0.1.0"
