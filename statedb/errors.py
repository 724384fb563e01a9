"""What can go wrong, drawn as a tree.

    StateDBError
    ├── opening   StoreTooNew · NotAStore · StoreClosed
    ├── asking    InvalidKey ── CheckpointExists, BranchExists · InvalidValue ── ValueTooLarge
    │             NoSuchRevision ── StaleCursor · NoSuchVersion · NoSuchCheckpoint · NoSuchBranch · NoSuchConflict
    │             Compacted ── Erased
    │             ReadOnly · QueryRefused
    ├── writing   VersionConflict · InTransaction · TransactionAborted · StoreBusy · DiskFull
    │             LockHeld · Fenced
    └── keeping   Corrupted

Each message says what was asked, why not, and what to do. Details a program needs are attributes, and every error
survives pickling, so that it can cross a process pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statedb.models import Address, Version
    from statedb.values.lock import Lock
    from statedb.values.merge import Clash


class StateDBError(Exception):
    """The root: catch it to catch everything statedb raises on purpose."""

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.__dict__.update(details)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.__dict__)


def _rebuild(cls: type[StateDBError], message: str, details: dict[str, Any]) -> StateDBError:
    return cls(message, **details)


# ---- opening


class StoreTooNew(StateDBError):
    """The store was written by a later statedb; nothing was touched."""

    found: str
    known: str


class NotAStore(StateDBError):
    """The place holds something else, or is none; nothing was touched."""


class StoreClosed(StateDBError):
    """The store was closed, or was opened before this process was forked."""


# ---- asking


class InvalidKey(StateDBError, ValueError):
    """An agent_id, key, state_type or name that cannot be one."""


class BranchExists(InvalidKey):
    """A name that a branch has already."""


class CheckpointExists(InvalidKey):
    """A checkpoint's name that another one has, of the same agent or of the whole store."""


class InvalidValue(StateDBError, ValueError):
    """A value that could not come back as it went in; `path` is the JSON Pointer of the offending place."""

    path: str = ""


class ValueTooLarge(InvalidValue):
    """A value of more bytes than `Settings.max_value_bytes`."""


class NoSuchRevision(StateDBError, LookupError):
    """A point the store has not reached."""


class StaleCursor(NoSuchRevision):
    """A cursor of another incarnation of the store, such as it was before a backup was restored."""


class NoSuchVersion(StateDBError, LookupError):
    """A version the key never had."""


class NoSuchCheckpoint(StateDBError, LookupError):
    """A checkpoint that was never made, or is no more."""


class NoSuchBranch(StateDBError, LookupError):
    """A branch that was never made, or is no more."""


class NoSuchConflict(StateDBError, LookupError):
    """A conflict that was never recorded, or is settled already."""


class Compacted(StateDBError, LookupError):
    """The past asked for lies below what retention kept; `floor` is the first revision that can be read.

    `missing` names the keys it is about, as far as they are known.
    """

    floor: int
    missing: tuple[Address, ...] = ()


class Erased(Compacted):
    """A value that was erased on purpose: that the version was there is known, what it held is not."""

    floor: int = 0


class QueryRefused(StateDBError):
    """A query that would read or do what it may not, has an error, or took more than its limits."""


class ReadOnly(StateDBError):
    """A write to a store that shows the past, or to a file or server that may not be written."""


# ---- writing


class VersionConflict(StateDBError):
    """Somebody wrote in between: `base` is what the caller knew, `ours` the caller's value, `theirs` what stands.

    A side with no value (absent, deleted, expired) is `MISSING`. `conflicts` names the places that clash where a merge
    was tried. Of an undo, `base` is what the commit to take back made, `ours` what stands now, `theirs` what was before
    it, and `later` holds the versions since that overlap. Of a stream `key` is its id, there is no state_type, no side
    has a value, and 1 was expected of one that should only exist.
    """

    agent_id: str | None
    state_type: str | None
    key: str
    expected_version: int
    version: int
    base: Any
    ours: Any
    theirs: Any
    conflicts: tuple[Clash, ...] = ()
    later: tuple[Version, ...] = ()


class InTransaction(StateDBError):
    """A write through the store inside the caller's own open transaction: it would wait for itself."""


class TransactionAborted(StateDBError):
    """The transaction was rolled back; nothing of it was written. It may be tried again."""


class LockHeld(StateDBError):
    """A key that somebody holds, `holders` say who and until when: it is not locked, nor written without the fence."""

    agent_id: str
    key: str
    holders: tuple[Lock, ...] = ()


class Fenced(StateDBError):
    """A fence whose lease has ended or was released; the key may be somebody else's by now, and nothing was written."""

    fence: int


class StoreBusy(StateDBError):
    """Another writer held the store, or no server answered, for longer than `Settings.busy_timeout`."""


class DiskFull(StateDBError):
    """The disk had no room; the whole transaction was rolled back."""


# ---- keeping


class Corrupted(StateDBError):
    """What the store holds contradicts itself: a digest, a codec or the database."""
