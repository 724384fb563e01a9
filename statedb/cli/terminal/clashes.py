"""Conflicts, as people read them: key by key and place by place, what was there, and what each side made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from statedb.cli.terminal.marks import Line, named
from statedb.cli.terminal.output import brief
from statedb.models import MISSING

if TYPE_CHECKING:
    from statedb.values.conflict import Conflict, Resolution

_STYLES = {"base": "dim", "ours": "cyan", "theirs": "magenta"}
_KINDS = {
    "concurrent_modification": "changed on both sides",
    "deleted_modified": "deleted on one side, changed on the other",
    "type_mismatch": "of another type on each side",
}


def conflict_lines(found: Conflict, settled: Resolution | None = None) -> Iterator[Line]:
    """Return the line that names a key in conflict and, below it, each place in conflict with its three sides."""
    settled = settled or found.resolution
    number = "" if found.id is None else f"conflict {found.id}: "
    open_ = settled is None or settled.requires_manual_review
    how = _KINDS[found.kind] if open_ or settled is None else f"settled by {settled.method}"
    place = f"{found.agent_id}/{found.state_type.value}/{found.key}"
    yield [(f"! {number}{place}", "bold red" if open_ else "bold"), (f"  {how}", "dim")]
    for each in found.clashes:
        yield [(f"    {named(each.path)}", "yellow")]
        for side, style in _STYLES.items():
            yield [(f"        {side:<6}  ", style), *_value(getattr(each, side), style), *_whence(found, side)]


# ---- inside


def _value(value: Any, style: str) -> Line:
    return [("no value", "dim")] if value is MISSING else [(brief(value), style)]


def _whence(found: Conflict, side: str) -> Line:
    """Return where a side comes from, as far as there is more to say than its name."""
    ours, theirs = ("", found.branch) if found.source is None else (found.branch, found.source)
    branch = {"base": "", "ours": ours, "theirs": theirs}[side]
    version = getattr(found, f"{side}_version")
    said = [branch] * bool(branch) + [f"version {version}"] * (version is not None)
    return [(f"  ({', '.join(said)})", "dim")] if said else []
