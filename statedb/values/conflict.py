"""What two sides made of one key that nobody could make one of, and how it was settled in the end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from statedb.models import Difference, StateType
from statedb.values.merge import Clash, ConflictKind, merge, whole_clash


@dataclass(frozen=True, slots=True)
class Conflict:
    """What two sides made of one key that nobody could make one of.

    In a merge of branches `ours` is what the branch merged into has, `theirs` what `source` has, the merged one; in a
    write that met another version (`source` None) `ours` is the caller's, `theirs` what stood. A side with no value is
    MISSING, an erased one UNAVAILABLE; one that is no version has none. `clashes` are the places. `id` is None where it
    was only found and not recorded, `revision` the commit that recorded it, 0 until then.
    """

    id: int | None
    branch: str
    agent_id: str
    state_type: StateType
    key: str
    kind: ConflictKind
    base: Any
    ours: Any
    theirs: Any
    base_version: int | None
    ours_version: int | None
    theirs_version: int | None
    source: str | None
    clashes: tuple[Clash, ...]
    revision: int
    at: datetime
    resolution: Resolution | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """How conflicts were settled: to which value, MISSING for none, and by what.

    `method` is a rule (merge, ours, theirs), "function", or "value" where somebody said what it is to be; "manual" left
    it open, and then `requires_manual_review` and the value is what stands. `revision` is the commit that settled it, 0
    until then. The conflicts are as they were while open.
    """

    conflicts: tuple[Conflict, ...]
    value: Any
    method: str
    requires_manual_review: bool
    revision: int


@dataclass(frozen=True, slots=True)
class MergeOutcome:
    """What a merge of branches did, or would do.

    `changes` are the keys it changes on the branch merged `into`, `conflicts` those that nobody could make one of, and
    `resolutions` say of each key in conflict how it was settled, and whether a person must look. `revision` is the
    commit it made: None until that is committed, and for good where it was a preview, where the conflicts were not
    settled (`changes` are then what a merge without them would do), or where there was nothing new. `recorded` tells
    whether the conflicts now wait in `store.conflicts`. `base` is the newest commit both had taken in, as a rule one.
    """

    revision: int | None
    source: str
    into: str
    base: tuple[int, ...]
    changes: tuple[Difference, ...]
    conflicts: tuple[Conflict, ...]
    resolutions: tuple[Resolution, ...]
    recorded: bool = False


def kind_of(clashes: tuple[Clash, ...]) -> ConflictKind:
    """Return what kind of conflict clashes make: their own, where they are all of one."""
    kinds: set[ConflictKind] = {each.kind for each in clashes}
    return kinds.pop() if len(kinds) == 1 else "concurrent_modification"


def clashes_of(base: Any, ours: Any, theirs: Any) -> tuple[Clash, ...]:
    """Return the places in conflict; the value as a whole where a merge would find none."""
    return merge(base, ours, theirs).conflicts or (whole_clash(base, ours, theirs),)
