"""query: SQL over what the store holds, read-only."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli.arguments import At, Json, Partial
from statedb.cli.exits import Usage
from statedb.cli.forms import member, plain
from statedb.cli.points import point
from statedb.cli.states import Numbers, parsed
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.missing import tell_missing
from statedb.cli.terminal.pager import Paged
from statedb.cli.terminal.texts import one_line

if TYPE_CHECKING:
    from statedb.values.row import Rows

Sql = Annotated[str, typer.Argument(metavar="SQL", help="One select, or - for standard input.", show_default=False)]
Parameters = Annotated[
    list[str] | None, typer.Argument(metavar="PARAM…", help="What each ? stands for, as text.", show_default=False)
]
JsonParameters = Annotated[bool, typer.Option("--json-params", help="PARAM… are JSON: 3 is a number, '\"3\"' text.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, the names of the columns first.")]


class Asking(Numbers, Paged):
    """A command whose output may be long, and whose arguments may be negative numbers."""


def query(
    context: typer.Context,
    sql: Sql,
    parameters: Parameters = None,
    at: At = None,
    json_parameters: JsonParameters = False,
    partial: Partial = False,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """Print what a query finds, as a table.

    The query is SQLite's SQL over three views: states, history and commits, in which values are JSON text. It can write
    nothing and has limits of rows and time. With --at it sees the store as it was then.
    """
    if as_csv and as_json:
        raise Usage("--csv and --json are two ways to print one thing; give one of them")
    given = [parsed(os.fsencode(each), "PARAM") if json_parameters else each for each in parameters or ()]
    asked = None if at is None else point(at)
    text = _text(sql)
    with opened(context) as store:
        found = (store if asked is None else store.at(asked)).query(text, given, partial=partial)
    tell_missing(found.missing)
    if as_json:
        output.json(_objects(found))
    elif as_csv:
        output.raw(_csv(found))
    else:
        tables.table([one_line(each) for each in found.columns], ([_shown(each) for each in row] for row in found))


# ---- inside


def _text(sql: str) -> str:
    if sql != "-":
        return sql
    try:
        return output.stdin().read().decode()
    except UnicodeDecodeError as error:
        raise Usage(f"the SQL on standard input is not UTF-8 ({error})") from None


def _objects(found: Rows) -> list[dict[str, Any]]:
    """Return the rows as JSON objects."""
    twice = [each for each in found.columns if found.columns.count(each) > 1]
    if twice:
        raise Usage(f"two columns are named {twice[0]!r:.80}, and an object has one of each name; rename one with AS")
    return [{name: plain(each) for name, each in zip(found.columns, row, strict=True)} for row in found]


def _csv(found: Rows) -> bytes:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    # A program gets text as it is, a terminal nothing that it would obey.
    safe = one_line if output.is_terminal() else str
    write([safe(each) for each in found.columns])
    for row in found:
        write([safe(each) if isinstance(each, str) else member("value", each)[1] for each in row])
    return text.getvalue().encode(errors="surrogateescape")


def _shown(cell: Any) -> object:
    return output.brief(cell) if isinstance(cell, bytes) else cell
