"""The values a caller receives. All are frozen; times are aware UTC datetimes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar, cast

T = TypeVar("T")

ChangeKind = Literal["create", "update", "delete", "expire"]
CommitKind = Literal[
    "write", "touch", "expire", "restore", "merge", "checkpoint", "branch", "conflict", "lock", "append"
]


class StateType(StrEnum):
    """The four tiers."""

    LOCAL = "local"
    SHARED = "shared"
    SESSION = "session"
    PERSISTENT = "persistent"


class Address(NamedTuple):
    """Where a value lives."""

    agent_id: str
    state_type: str
    key: str


class Mark:
    """A value that stands for itself: there is one of each class, and it goes by the class's name in capitals."""

    _only: ClassVar[dict[type[Mark], Mark]] = {}

    def __new__(cls) -> Self:
        return cast(Self, cls._only.setdefault(cls, super().__new__(cls)))

    def __repr__(self) -> str:
        return type(self).__name__.upper()

    def __reduce__(self) -> str:
        return repr(self)


class Missing(Mark):
    """The type of `MISSING`, which stands where there is no value: JSON's null is one, so None cannot."""


class Unavailable(Mark):
    """The type of `UNAVAILABLE`, which stands for a value that was erased."""


MISSING = Missing()
UNAVAILABLE = Unavailable()


class Listing(list[T]):
    """A list that knows what it could not show: `missing` names the keys that retention cut, under `partial=True`."""

    def __init__(self, found: Iterable[T] = (), missing: Iterable[Address] = ()) -> None:
        super().__init__(found)
        self.missing: tuple[Address, ...] = tuple(missing)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key at one version.

    `revision` is 0 until the transaction that wrote it commits, and stays so where that changed nothing in the end. In
    `history.get`, `expires_at` is as this version set it: None also for a session's key, whose session has the clock.
    `created_at` and `created_by` tell of the version that made the key (again), `updated_at` of this one. `value` is
    None for a version that is a deletion (`deleted`).
    """

    agent_id: str
    state_type: StateType
    key: str
    value: Any
    version: int
    parent_version: int | None
    revision: int
    created_at: datetime
    updated_at: datetime
    created_by: str | None
    expires_at: datetime | None
    metadata: dict[str, Any] | None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One line of a key's history.

    `size` is in bytes of the plain value; `origin_at` is when it was first made. `expires_at` is as this version set
    it: None for never, and for a session's key, whose session has the clock.
    """

    agent_id: str
    state_type: StateType
    key: str
    version: int
    parent_version: int | None
    source_version: int | None
    revision: int
    at: datetime
    origin_at: datetime
    by: str | None
    message: str | None
    change: ChangeKind
    size: int
    expires_at: datetime | None
    metadata: dict[str, Any] | None
    branch: str = "main"


@dataclass(frozen=True, slots=True)
class StateBranch:
    """A branch on which a key has versions of its own: those after `base_version`, up to `head_version`."""

    name: str
    base_version: int
    head_version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StateHistory:
    """The whole history of a key: its versions on this branch, newest first, and the other branches that have some."""

    current_version: int
    versions: tuple[Version, ...]
    branches: tuple[StateBranch, ...]


class Blame(dict[str, Version]):
    """Which version last set each leaf of a value, by JSON Pointer.

    `missing` holds the leaves whose version retention has cut or erased, under `partial=True`.
    """

    def __init__(self, found: Mapping[str, Version] = MappingProxyType({}), missing: Iterable[str] = ()) -> None:
        super().__init__(found)
        self.missing: tuple[str, ...] = tuple(missing)


class Imported(NamedTuple):
    """A version made elsewhere: when, in seconds since 1970, and what; `MISSING` is a deletion.

    `by`, `message` and `context` (a JSON object) are its commit's. A plain (seconds, value) pair will do for the rest.
    """

    at: float
    value: Any
    by: str | None = None
    message: str | None = None
    context: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit did to one key. A side with no value is None; `event_id` is unique over all stores.

    Handlers receive it; `state_key`, `change_type` and `timestamp` are other names of `key`, `change` and `at`.
    """

    event_id: str
    agent_id: str
    state_type: StateType
    key: str
    change: ChangeKind
    old_value: Any
    new_value: Any
    version: int
    revision: int
    at: datetime
    by: str | None
    metadata: dict[str, Any] | None

    @property
    def state_key(self) -> str:
        return self.key

    @property
    def change_type(self) -> ChangeKind:
        return self.change

    @property
    def timestamp(self) -> datetime:
        return self.at


StateChangeEvent = Change
"""What those who subscribe receive, by the name the field knows it under."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that differs between two points: what it held at the first, and at the second.

    A side with no value is None, an erased one UNAVAILABLE. `change` is one of create, update, delete and expire;
    `version`, `revision`, `at` and `by` are those of the key's newest version at the second point (0 and None where it
    had none yet). Of a key whose time had merely passed, `at` is when that was.
    """

    agent_id: str
    state_type: StateType
    key: str
    change: ChangeKind
    old_value: Any
    new_value: Any
    version: int
    revision: int
    at: datetime | None
    by: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What taking something back did: the keys it changed, and the revision of the commit it made.

    `revision` is None until that is committed, and stays so where nothing changed. `missing` names the keys of which
    what was there is not kept, under `partial=True`; they stay as they are.
    """

    revision: int | None
    changes: tuple[Difference, ...]
    missing: tuple[Address, ...] = ()


class CheckpointType(StrEnum):
    """What a checkpoint is for."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"
    MILESTONE = "milestone"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A name for a point: `revision` and `at` say which, for one agent or (`agent_id` None) the whole store.

    `created_revision` is the commit that made it; a checkpoint made without a point names that very commit. It is 0
    until the transaction commits.
    """

    id: int
    name: str
    agent_id: str | None
    type: CheckpointType
    branch: str
    revision: int
    at: datetime
    created_revision: int
    created_at: datetime
    created_by: str | None
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of commits of its own: it sees its `parent` as of revision `base`, and what has been written to it since.

    `head` is the newest commit it sees, its own or inherited. `parent` is None for the trunk, which is called main.
    """

    id: int
    name: str
    parent: str | None
    base: int
    head: int
    created_at: datetime
    created_by: str | None


@dataclass(frozen=True, slots=True)
class StateWithHistory:
    """A key as it stands, None where it has no value, and its newest versions, newest first."""

    entry: Entry | None
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """One revision of the store and all it changed. `origin_at` is when it was first made, here or elsewhere.

    `branch` is the one it belongs to; `merged` the newest commit of the branch that a merge took in. `parent` is the
    commit it was made on: the one before it on its branch, or the one that its branch was made from.
    """

    revision: int
    kind: CommitKind
    at: datetime
    origin_at: datetime
    by: str | None
    message: str | None
    context: dict[str, Any] | None
    changes: tuple[Change, ...]
    branch: str = "main"
    merged: int | None = None
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the caches of one store object did since it was opened.

    `hits` are reads answered from memory, `conditional_hits` those of them for which the database was asked whether
    that is still the value; `misses` are the others of worthwhile size, `level2_hits` those that level 2 made good.
    `bytes` are what the `entries` take, of `limit`; `evictions` are values that made room.
    """

    policy: str = "off"
    limit: int = 0
    bytes: int = 0
    entries: int = 0
    hits: int = 0
    conditional_hits: int = 0
    misses: int = 0
    evictions: int = 0
    level2_hits: int = 0
    level2_misses: int = 0
    level2_errors: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of reads answered from memory, of those of values of worthwhile size; 0 before the first."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds. `keys` counts those with a value, `size` is in bytes of the database.

    `value_bytes` are the plain bytes of all versions together: what whole copies of each would take. `cache` is of this
    store object alone.
    """

    revision: int
    agents: int
    sessions: int
    keys: dict[StateType, int]
    versions: dict[StateType, int]
    value_bytes: int
    size: int
    oldest: datetime | None
    newest: datetime | None
    cache: CacheStats = field(default_factory=CacheStats)


@dataclass(frozen=True, slots=True)
class Health:
    """What a check found: `problems` is empty where all is well."""

    problems: tuple[str, ...]
    commits: int
    versions: int

    @property
    def ok(self) -> bool:
        return not self.problems
