"""diff: what differs between two versions of a key, or between two points in time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, Json, Partial
from statedb.cli.exits import Refused, Usage
from statedb.cli.forms import form, plain
from statedb.cli.points import Asked, as_of, point
from statedb.cli.stores import opened
from statedb.cli.terminal import output
from statedb.cli.terminal.marks import change_lines, diff_lines
from statedb.cli.terminal.missing import tell_missing
from statedb.models import MISSING, StateType

if TYPE_CHECKING:
    from statedb.store import Store
    from statedb.values.diff import StateDiff

Agent = Annotated[str | None, typer.Argument(metavar="AGENT", help="Whose state.", autocompletion=completion.agents)]
Tier = Annotated[StateType | None, typer.Argument(metavar="TYPE", help="Which tier.")]
Key = Annotated[str | None, typer.Argument(metavar="KEY", help="Which key.", autocompletion=completion.keys)]
Old = Annotated[
    int | None,
    typer.Argument(metavar="A", min=0, help="The older version, 0 for before the first; else the one before B."),
]
New = Annotated[int | None, typer.Argument(metavar="B", min=1, help="The newer version; else the newest.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        "--at",
        metavar="POINT",
        help=f"Between this and --to: {POINT}.",
        autocompletion=completion.checkpoints,
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="POINT", help="The other point; else now.", autocompletion=completion.checkpoints),
]
Whose = Annotated[
    str | None,
    typer.Option("--agent", metavar="AGENT", help="Without KEY: only of this agent.", autocompletion=completion.agents),
]
Patch = Annotated[bool, typer.Option("--patch", help="Print the JSON patch (RFC 6902) that leads from A to B.")]
MergePatch = Annotated[
    bool, typer.Option("--merge-patch", help="Print the merge patch (RFC 7386) that leads from A to B.")
]

Place = tuple[str, StateType, str]


def diff(
    context: typer.Context,
    agent: Agent = None,
    state_type: Tier = None,
    key: Key = None,
    a: Old = None,
    b: New = None,
    first: From = None,
    second: To = None,
    whose: Whose = None,
    patch: Patch = False,
    merge_patch: MergePatch = False,
    partial: Partial = False,
    as_json: Json = False,
) -> None:
    """Print what differs between two versions of a key, or between two points in time.

    Without A and B it is the newest version against the one before; with --from and --to, the key as it stood at two
    points. Each line is a place inside the value: + added, ~ modified, - removed. Without a key, --from and --to tell
    all keys that differ between two points, those that merely expired included.
    """
    if patch + merge_patch + as_json > 1:
        raise Usage("--patch, --merge-patch and --json are three ways to print one thing; give one of them")
    if agent is None:
        if first is None or patch or merge_patch:
            raise Usage("diff takes AGENT TYPE KEY [A] [B], or --from POINT [--to POINT] [--agent AGENT]")
        return _print_between(context, (point(first), _or_now(second)), whose, partial, as_json)
    if state_type is None or key is None or whose is not None or partial:
        raise Usage("diff takes AGENT TYPE KEY together; --agent and --partial go without them")
    heading, found = _of_key(context, (agent, state_type, key), (a, b), (first, second))
    if patch or merge_patch:
        output.json(found.json_patch() if patch else found.merge_patch())
    elif as_json:
        output.json(_form(found))
    elif found:
        title = f"{agent}/{state_type.value}/{key}"
        output.styled([[(title, "bold"), (f"  {heading}", "dim")], *diff_lines(found)])


# ---- inside


def _or_now(text: str | None) -> Asked:
    return timedelta(0) if text is None else point(text)


def _of_key(
    context: typer.Context,
    at: Place,
    versions: tuple[int | None, int | None],
    points: tuple[str | None, str | None],
) -> tuple[str, StateDiff]:
    """Return what differs between two versions of a key or between two points, and between which."""
    first, second = points
    if first is None:
        if second is not None:
            raise Usage("--to is the second of two points; --from is the first")
        with opened(context) as store:
            return _of_versions(store, at, *versions)
    if versions != (None, None):
        raise Usage("diff takes versions A and B, or points --from and --to")
    asked = point(first), _or_now(second)
    with opened(context) as store:
        return f"{first} → {second or 'now'}", _of_points(store, at, asked)


def _of_versions(store: Store, at: Place, a: int | None, b: int | None) -> tuple[str, StateDiff]:
    from statedb.values.diff import diff as diff_of

    if b is None:
        newest = store.history.versions(*at, limit=1)
        if not newest:
            raise Refused(f"{at[2]} ({at[1].value} of {at[0]}) has no history")
        b = newest[0].version
    a = b - 1 if a is None else a
    heading = f"version {a} → {b}" if a else f"version {b}, the first"
    return heading, store.history.diff(*at, a, b) if a else diff_of(MISSING, _made(store, at, b))


def _made(store: Store, at: Place, version: int) -> Any:
    entry = store.history.get(*at, version)
    return MISSING if entry.deleted else entry.value


def _of_points(store: Store, at: Place, points: tuple[Asked, Asked]) -> StateDiff:
    from statedb.values.diff import diff as diff_of

    old, new = [as_of(store, each, at[0]).states.get(*at, MISSING) for each in points]
    if old is MISSING and new is MISSING:
        raise Refused(f"{at[2]} ({at[1].value} of {at[0]}) has no value at either point")
    return diff_of(old, new)


def _print_between(
    context: typer.Context, points: tuple[Asked, Asked], whose: str | None, partial: bool, as_json: bool
) -> None:
    with opened(context) as store:
        found = store.history.changes(*points, agent_id=whose, partial=partial)
    tell_missing(found.missing)
    if as_json:
        output.json([form(each) for each in found])
    else:
        output.styled(line for each in found for line in change_lines(each))


def _form(found: StateDiff) -> dict[str, Any]:
    return {
        "added": {pointer: plain(value) for pointer, value in found.added.items()},
        "modified": {pointer: {"old": plain(old), "new": plain(new)} for pointer, (old, new) in found.modified.items()},
        "removed": {pointer: plain(value) for pointer, value in found.removed.items()},
    }
