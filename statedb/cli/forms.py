"""The library's values as JSON for programs.

Members are named as in `statedb.models`; times are ISO 8601. What JSON cannot hold stands under a name that says so:
opaque bytes, in base64, as `bytes` for `value` (and for an event's `data`, a snapshot's `state`) and `old_bytes` for
`old_value`; an erased value as `"erased": true`.
"""

from __future__ import annotations

import base64
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from statedb.models import (
    MISSING,
    UNAVAILABLE,
    Branch,
    Change,
    Checkpoint,
    Commit,
    Difference,
    Entry,
    Outcome,
    Stats,
    Version,
)

if TYPE_CHECKING:
    from statedb.values.conflict import Conflict, MergeOutcome, Resolution
    from statedb.values.event import EventStream, RecordedEvent, StreamSnapshot
    from statedb.values.lock import Lock, LockChange
    from statedb.values.merge import Clash

    Made = (
        Entry | Version | Change | Difference | Checkpoint | Branch | Stats
        | Lock | LockChange | EventStream | RecordedEvent | StreamSnapshot
    )  # fmt: skip

_SIDES = ("base", "ours", "theirs")
_CHANGE = ("agent_id", "state_type", "key", "change", "version")


def form(made: Made) -> dict[str, Any]:
    """Return the members of a value the library handed out, but for the cache of a store that lives for one command."""
    return dict(member(field.name, getattr(made, field.name)) for field in fields(made) if field.name != "cache")


def commit_form(commit: Commit, *, values: bool) -> dict[str, Any]:
    """Return the members of a commit; without `values` its changes say only what changed, not from what to what."""
    said = {field.name: getattr(commit, field.name) for field in fields(commit)}
    brief = [{name: getattr(each, name) for name in _CHANGE} for each in commit.changes]
    return said | {"changes": [form(each) for each in commit.changes] if values else brief}


def outcome_form(done: Outcome | MergeOutcome) -> dict[str, Any]:
    """Return the commit that something made, and the keys it changed."""
    return {"revision": done.revision, "changes": [form(each) for each in done.changes]}


def merge_form(done: MergeOutcome) -> dict[str, Any]:
    """Return the members of a merge; a key that was in conflict stands among the resolutions too."""
    return {
        **outcome_form(done),
        **{name: getattr(done, name) for name in ("source", "into", "base", "recorded")},
        "conflicts": [conflict_form(each) for each in done.conflicts],
        "resolutions": [resolution_form(each) for each in done.resolutions],
    }


def conflict_form(found: Conflict) -> dict[str, Any]:
    """Return the members of a conflict; a side that has no value is left out."""
    said = {field.name: getattr(found, field.name) for field in fields(found) if field.name not in _SIDES}
    settled = found.resolution
    clashes = [{"path": each.path, "kind": each.kind, **_sides(each)} for each in found.clashes]
    return said | _sides(found) | {"clashes": clashes, "resolution": settled and resolution_form(settled)}


def resolution_form(found: Resolution) -> dict[str, Any]:
    """Return how a key in conflict was settled; without a value where it was to have none."""
    of = found.conflicts[0]
    said = {name: getattr(of, name) for name in ("agent_id", "state_type", "key")}
    said |= {name: getattr(found, name) for name in ("method", "requires_manual_review", "revision")}
    return said if found.value is MISSING else said | {"value": plain(found.value)}


def _sides(found: Conflict | Clash) -> dict[str, Any]:
    there = {side: getattr(found, side) for side in _SIDES}
    return {side: plain(value) for side, value in there.items() if value is not MISSING}


def member(name: str, value: Any) -> tuple[str, Any]:
    """Return a member of a JSON object, one that holds no JSON under a name that says so."""
    if isinstance(value, bytes):
        return _renamed(name, "bytes"), base64.b64encode(value).decode()
    if value is UNAVAILABLE:
        return _renamed(name, "erased"), True
    return name, value


def plain(value: Any) -> Any:
    """Return a value as JSON where it stands on its own: bytes as an object with their one member."""
    name, said = member("value", value)
    return said if name == "value" else {name: said}


def _renamed(name: str, holding: str) -> str:
    return holding if name in ("data", "state") else name.replace("value", holding)
