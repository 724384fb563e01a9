"""history, show, at: what was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, Agent, At, By, Json, Limit, Since, Tier, Until
from statedb.cli.exits import Refused, Usage
from statedb.cli.forms import commit_form, form, member
from statedb.cli.points import Asked, as_of, point
from statedb.cli.states import absent
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.missing import tell_missing
from statedb.models import MISSING, Change, StateType, Version

if TYPE_CHECKING:
    from statedb.store import Store

Versions = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="Which key, or with * ? [ a glob.", show_default=False, autocompletion=completion.keys
    ),
]
What = Annotated[
    list[str],
    typer.Argument(
        metavar="AGENT TYPE KEY | POINT",
        help="An entry, or the commit at a point.",
        show_default=False,
        autocompletion=completion.entry,
    ),
]
Number = Annotated[int | None, typer.Option("--version", metavar="N", min=1, help="The entry as it was at version N.")]
Point = Annotated[
    str,
    typer.Argument(metavar="POINT", help=f"When: {POINT}.", show_default=False, autocompletion=completion.checkpoints),
]
Tiers = Annotated[StateType | None, typer.Argument(metavar="TYPE", help="Only this tier.", show_default=False)]
Wanted = Annotated[
    str | None,
    typer.Argument(
        metavar="KEY",
        help="This key's value, or with * ? [ a glob.",
        show_default=False,
        autocompletion=completion.keys,
    ),
]


def history(
    context: typer.Context,
    agent: Agent,
    state_type: Tier,
    key: Versions,
    by: By = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Print a key's versions, newest first, or those of all keys that match a glob.

    Each line is a version: its number, the revision and time of its commit, who made it, what it did to the key, how
    many bytes the value has, and the message. Deletions and expiries are versions too.
    """
    first, last = _point(since), _point(until)
    with opened(context) as store:
        found = store.history.versions(agent, state_type, key, limit=limit, by=by, since=first, until=last)
    if not found and (by, since, until) == (None, None, None):
        raise Refused(f"{key} ({state_type.value} of {agent}) has no history")
    tell_missing(found.missing)
    if as_json:
        output.json([form(each) for each in found])
    else:
        version_table(found, keys=any(each.key != key for each in found))


def version_table(found: Sequence[Version], *, keys: bool = False) -> None:
    """Print versions as a table; `keys`: with the key of each."""
    headings = ["version", "revision", "at", "by", "change", "size", "message"]
    rows = [list(_version_row(each)) for each in found]
    if any(each.origin_at != each.at for each in found):
        headings.insert(3, "origin at")
        for row, each in zip(rows, found, strict=True):
            row.insert(3, output.when(each.origin_at) if each.origin_at != each.at else None)
    if keys:
        headings.insert(0, "key")
        for row, each in zip(rows, found, strict=True):
            row.insert(0, each.key)
    tables.table(headings, rows)


def show(context: typer.Context, what: What, version: Number = None, moment: At = None, as_json: Json = False) -> None:
    """Print all that is known of an entry, or of a commit and its changes.

    An entry is named by agent, tier and key, and shown as it stands or, with --version or --at, as it was; a commit is
    named by its revision, of whatever branch, or by another point: it is the last one before that.
    """
    if len(what) == 1 and version is None and moment is None:
        _show_commit(context, point(what[0]), as_json)
    elif len(what) == 3 and (version is None or moment is None):
        _show_entry(context, what[0], _tier(what[1]), what[2], (version, moment), as_json)
    else:
        raise Usage("show takes AGENT TYPE KEY [--version N | --at POINT], or a POINT")


def at(
    context: typer.Context,
    moment: Point,
    agent: Agent,
    state_type: Tiers = None,
    key: Wanted = None,
    as_json: Json = False,
) -> None:
    """Print an agent's values as they stood at a moment.

    All of the agent's values, those of one tier, those whose keys match a glob, or one key's value alone, as get prints
    it. What had expired by then is gone; sessions that have ended since are there. A day without a time of day means
    its beginning, and a weekday the last one before today; all of it in UTC.
    """
    asked = point(moment)
    with opened(context) as store:
        past = as_of(store, asked, agent)
        if state_type is not None and key is not None and not _is_glob(key):
            found = past.states.get(agent, state_type, key, MISSING)
            if found is MISSING:
                raise absent(agent, state_type, key, moment)
            return output.value(found, as_json)
        rows = _values(past, agent, list(StateType) if state_type is None else [state_type], key or "*")
    if as_json:
        output.json([{"state_type": tier, "key": name} | dict([member("value", each)]) for tier, name, each in rows])
    else:
        tables.table(("type", "key", "value"), ((tier, name, output.brief(each)) for tier, name, each in rows))


# ---- inside


def _point(text: str | None) -> Asked | None:
    return None if text is None else point(text)


def _show_commit(context: typer.Context, asked: Asked, as_json: bool) -> None:
    with opened(context) as store:
        if isinstance(asked, int):
            commit = store.history.commit(asked)
        else:
            found = store.history.commits(until=asked, limit=1)
            if not found:
                raise Refused("there is no commit as old as that")
            commit = found[0]
    if as_json:
        return output.json(commit_form(commit, values=True))
    said = commit_form(commit, values=False)
    output.facts((name, known) for name, known in said.items() if name != "changes")
    if commit.changes:
        output.line("")
        tables.table(("change", "agent", "type", "key", "version", "old", "new"), map(_change_row, commit.changes))


def _show_entry(
    context: typer.Context,
    agent: str,
    state_type: StateType,
    key: str,
    when: tuple[int | None, str | None],
    as_json: bool,
) -> None:
    version, moment = when
    asked = _point(moment)
    with opened(context) as store:
        if version is None:
            shown = store if asked is None else as_of(store, asked, agent)
            entry = shown.states.entry(agent, state_type, key)
        else:
            entry = store.history.get(agent, state_type, key, version)
    if entry is None:
        raise absent(agent, state_type, key, moment)
    if as_json:
        output.json(form(entry))
    else:
        hidden = "value" if entry.deleted else ""
        output.facts((name, known) for name, known in form(entry).items() if name != hidden)


def _tier(text: str) -> StateType:
    try:
        return StateType(text)
    except ValueError:
        raise Usage(f"TYPE is {text!r:.80}; it is one of {', '.join(StateType)}") from None


def _is_glob(text: str) -> bool:
    return any(each in text for each in "*?[")


def _values(past: Store, agent: str, tiers: list[StateType], pattern: str) -> list[tuple[str, str, Any]]:
    return [(tier.value, key, value) for tier in tiers for key, value in past.states.items(agent, tier, pattern)]


def _version_row(found: Version) -> tuple[object, ...]:
    change = found.change if found.source_version is None else f"{found.change} (as {found.source_version})"
    return (found.version, found.revision, output.when(found.at), found.by, change, f"{found.size:,}", found.message)


def _change_row(found: Change) -> tuple[object, ...]:
    old = None if found.change == "create" else output.brief(found.old_value)
    new = None if found.change in ("delete", "expire") else output.brief(found.new_value)
    return (found.change, found.agent_id, found.state_type.value, found.key, found.version, old, new)
