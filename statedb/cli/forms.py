"""The library's values as JSON for programs.

Members are named as in `statedb.models`; times are ISO 8601. Opaque bytes, which JSON cannot hold, stand in base64
under a name that says so: `bytes` for `value`, `old_bytes` for `old_value`.
"""

from __future__ import annotations

import base64
from dataclasses import fields
from typing import Any

from statedb.models import Change, Commit, Entry, Version

_CHANGE = ("agent_id", "state_type", "key", "change", "version")


def form(made: Entry | Version | Change) -> dict[str, Any]:
    """Return the members of a value the library handed out."""
    return dict(member(field.name, getattr(made, field.name)) for field in fields(made))


def commit_form(commit: Commit, *, values: bool) -> dict[str, Any]:
    """Return the members of a commit; without `values` its changes say only what changed, not from what to what."""
    said = {field.name: getattr(commit, field.name) for field in fields(commit)}
    brief = [{name: getattr(each, name) for name in _CHANGE} for each in commit.changes]
    return said | {"changes": [form(each) for each in commit.changes] if values else brief}


def member(name: str, value: Any) -> tuple[str, Any]:
    """Return a member of a JSON object, one that holds bytes under a name that says so."""
    if isinstance(value, bytes):
        return name.replace("value", "bytes"), base64.b64encode(value).decode()
    return name, value
