"""log: the store's commits, newest first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from statedb.cli import completion
from statedb.cli.arguments import By, Json, Since, Until
from statedb.cli.exits import Usage
from statedb.cli.forest import Forest
from statedb.cli.forms import commit_form
from statedb.cli.points import Asked, point
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.marks import Line, change_line, change_lines
from statedb.cli.terminal.missing import tell_missing
from statedb.models import Address, Change, Commit, StateType

if TYPE_CHECKING:
    from statedb.store import Store
    from statedb.values.glob import Glob

Whose = Annotated[
    str | None,
    typer.Option("--agent", metavar="AGENT", help="Only what changed this one.", autocompletion=completion.agents),
]
Tier = Annotated[StateType | None, typer.Option("--type", help="Only what changed this tier.")]
Keys = Annotated[str | None, typer.Option("--key", metavar="PATTERN", help="Only what changed keys of this glob.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many at most.")]
Oneline = Annotated[bool, typer.Option("--oneline", help="A line for each commit: its revision and message.")]
Graph = Annotated[
    bool,
    typer.Option("--graph", help="Draw every branch, with a line below each commit for each key that it changed."),
]
Patch = Annotated[bool, typer.Option("-p", "--patch", help="The same, and below each key the places that changed.")]

_SHOWN_CHANGES = 3
_PAGE = 200


def log(
    context: typer.Context,
    agent: Whose = None,
    state_type: Tier = None,
    key: Keys = None,
    by: By = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    oneline: Oneline = False,
    graph: Graph = False,
    patch: Patch = False,
    as_json: Json = False,
) -> None:
    """Print the store's commits, newest first: those of main, or with -b of a branch and what it was made from.

    Each line is a commit: its revision and time, who made it, its kind, what it changed, and the message. With --graph
    they are those of every branch (with -b, of that one), drawn as lanes that part and join, each with its branch's
    name at its head. With --graph or --patch the changes stand below it: + created, ~ updated, - deleted or expired. Of
    a commit only the changes that were asked for are shown.
    """
    if oneline and patch:
        raise Usage("--oneline has no place for changes; give --patch without it")
    branch = context.obj.branch
    every = graph and branch is None
    wanted = _Wanted(agent, state_type, key, by, since, until, every)
    with opened(context) as store:
        commits = wanted.of(store, values=patch, page=min(limit, _PAGE))
        found = list(islice(commits, min(limit, sys.maxsize)))  # islice refuses more; nobody has as many
        living = store.branches.list() if every and not as_json else []
    tell_missing(list(wanted.missing))
    if as_json:
        output.json([commit_form(each, values=patch) for each in found])
    elif graph:
        drawn = Forest(found, wanted.made_on, branch, living)
        output.styled(drawn.lines(lambda each, names: _block(each, names, oneline=oneline, patch=patch)))
    elif oneline or patch:
        output.styled(line for each in found for line in _unlinked(each, oneline=oneline))
    else:
        tables.table(("revision", "at", "by", "kind", "changes", "message"), map(_row, found))


# ---- inside


class _Wanted:
    """Which commits are asked for, and of each which changes."""

    def __init__(
        self,
        agent: str | None,
        state_type: StateType | None,
        key: str | None,
        by: str | None,
        since: str | None,
        until: str | None,
        every: bool,
    ) -> None:
        self._agent, self._state_type, self._key, self._by = agent, state_type, key, by
        self._since: Asked | None = None if since is None else point(since)
        self._until: Asked | None = None if until is None else point(until)
        self._every = every
        self.missing: dict[Address, None] = {}
        self.made_on: dict[int, int | None] = {}
        """What each commit that was looked at was made on, be it shown or not."""

    def of(self, store: Store, *, values: bool, page: int) -> Iterator[Commit]:
        """Yield the commits, newest first. The library picks agents and actors; tiers and keys are picked here."""
        before: int | None = None
        while True:
            found = store.history.commits(
                agent_id=self._agent,
                by=self._by,
                since=self._since,
                until=self._until,
                limit=page,
                before=before,
                values=values,
                partial=True,
                branches=self._every,
            )
            self.made_on |= {each.revision: each.parent for each in found}
            self.missing |= dict.fromkeys(found.missing)
            yield from found if self._state_type is None and self._key is None else self._picked(found)
            if len(found) < page:
                return
            before = found[-1].revision

    def _picked(self, found: list[Commit]) -> Iterator[Commit]:
        from statedb.values.glob import glob

        pattern = None if self._key is None else glob(self._key)
        for each in found:
            if changes := tuple(change for change in each.changes if self._is_wanted(change, pattern)):
                yield replace(each, changes=changes)

    def _is_wanted(self, change: Change, pattern: Glob | None) -> bool:
        if self._state_type is not None and change.state_type != self._state_type:
            return False
        return pattern is None or (pattern.low <= change.key < pattern.high and bool(pattern.pick([change.key])))


def _block(found: Commit, names: Sequence[str], *, oneline: bool, patch: bool) -> Iterator[Line]:
    """Return a commit in lines: itself, and where there is room its changes, with `patch` inside the values."""
    revision = (f"{found.revision}", "yellow")
    named = [(f" [{', '.join(names)}]", "bold green")] if names else []
    if oneline:
        yield [revision, *named, (f" {_title(found)}", "")]
        return
    by = [(f"  {found.by}", "green")] if found.by else []
    kind = [] if found.kind == "write" else [(f"  ({found.kind})", "dim")]
    said = [(f"  {found.message}", "bold")] if found.message else []
    yield [revision, *named, (f"  {output.when(found.at)}", "dim"), *by, *kind, *said]
    for each in found.changes:
        yield from change_lines(each) if patch else [change_line(each)]


def _unlinked(found: Commit, *, oneline: bool) -> Iterator[Line]:
    """Return a commit in lines without any lane."""
    for at, line in enumerate(_block(found, [], oneline=oneline, patch=True)):
        yield line if oneline else [("  " if at else "* ", ""), *line]


def _title(found: Commit) -> str:
    """Return a commit's message or, where it has none, what it changed."""
    return found.message or f"({_places(found) or found.kind})"


def _places(found: Commit) -> str:
    places = [f"{each.agent_id}/{each.state_type.value}/{each.key}" for each in found.changes[:_SHOWN_CHANGES]]
    more = len(found.changes) - len(places)
    return ", ".join(places) + (f" and {more:,} more" if more else "")


def _row(found: Commit) -> tuple[object, ...]:
    kind = None if found.kind == "write" else found.kind
    return (found.revision, output.when(found.at), found.by, kind, _places(found), found.message)
