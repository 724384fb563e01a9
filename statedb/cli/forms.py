"""The library's values as JSON for programs.

Members are named as in `statedb.models`; times are ISO 8601. What JSON cannot hold stands under a name that says so:
opaque bytes, in base64, as `bytes` for `value` and `old_bytes` for `old_value`; an erased value as `"erased": true`.
"""

from __future__ import annotations

import base64
from dataclasses import fields
from typing import Any

from statedb.models import UNAVAILABLE, Branch, Change, Checkpoint, Commit, Difference, Entry, Stats, Version

_CHANGE = ("agent_id", "state_type", "key", "change", "version")


def form(made: Entry | Version | Change | Difference | Checkpoint | Branch | Stats) -> dict[str, Any]:
    """Return the members of a value the library handed out, but for the cache of a store that lives for one command."""
    return dict(member(field.name, getattr(made, field.name)) for field in fields(made) if field.name != "cache")


def commit_form(commit: Commit, *, values: bool) -> dict[str, Any]:
    """Return the members of a commit; without `values` its changes say only what changed, not from what to what."""
    said = {field.name: getattr(commit, field.name) for field in fields(commit)}
    brief = [{name: getattr(each, name) for name in _CHANGE} for each in commit.changes]
    return said | {"changes": [form(each) for each in commit.changes] if values else brief}


def member(name: str, value: Any) -> tuple[str, Any]:
    """Return a member of a JSON object, one that holds no JSON under a name that says so."""
    if isinstance(value, bytes):
        return name.replace("value", "bytes"), base64.b64encode(value).decode()
    if value is UNAVAILABLE:
        return name.replace("value", "erased"), True
    return name, value


def plain(value: Any) -> Any:
    """Return a value as JSON where it stands on its own: bytes as an object with their one member."""
    name, said = member("value", value)
    return said if name == "value" else {name: said}
