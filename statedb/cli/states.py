"""set, get, delete, keys: the values as they stand."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from statedb.cli import completion
from statedb.cli.arguments import Agent, At, Expect, Fence, Json, Key, Message, Rule, Tier
from statedb.cli.exits import Refused, Usage
from statedb.cli.forms import form
from statedb.cli.points import as_of, point
from statedb.cli.stores import opened
from statedb.cli.terminal import output
from statedb.models import MISSING

Ttl = Annotated[float | None, typer.Option("--ttl", metavar="SECONDS", help="Expire after this long; inf: never.")]
Metadata = Annotated[
    str | None, typer.Option("--metadata", metavar="JSON", help="A JSON object kept with the version.")
]
Value = Annotated[str, typer.Argument(metavar="VALUE", help="JSON text, or - for standard input.", show_default=False)]
Raw = Annotated[bool, typer.Option("--bytes", help="VALUE is no JSON but bytes, kept as they are.")]
Pattern = Annotated[
    str,
    typer.Argument(
        metavar="PATTERN", help=r"A glob: * also matches slashes, ? \[a-z] \[!a].", autocompletion=completion.keys
    ),
]


class Numbers(TyperCommand):
    """A command whose arguments may be negative numbers, which look like options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Only where there is one: otherwise a mistyped option would be taken for an argument too.
        ctx.ignore_unknown_options = any(arg[:1] == "-" and arg[1:2].isdigit() for arg in args)
        return super().parse_args(ctx, args)


def set_(
    context: typer.Context,
    agent: Agent,
    state_type: Tier,
    key: Key,
    value: Value,
    ttl: Ttl = None,
    expect: Expect = None,
    on_conflict: Annotated[
        Rule | None, typer.Option("--on-conflict", help="What to do where the version is another than --expect.")
    ] = None,
    fence: Fence = None,
    message: Message = None,
    metadata: Metadata = None,
    raw: Raw = False,
    as_json: Json = False,
) -> None:
    """Write a value, a new version of its key.

    The value is JSON: text needs quotes of its own inside the shell's. A store that does not exist yet is made. Without
    --expect the last writer wins; with it, a value that somebody else has changed since is a conflict, which
    --on-conflict may settle. The same value again makes no new version. A key that somebody has locked is written with
    the lock's --fence alone.
    """
    if on_conflict is not None and expect is None:
        raise Usage("--on-conflict needs --expect: without it there is nothing to conflict with")
    said = given_metadata(metadata)
    given = given_bytes(value) if raw else parsed(given_bytes(value))
    with opened(context, create=True) as store:
        entry = store.states.set(
            agent,
            state_type,
            key,
            given,
            expected_version=expect,
            on_conflict=None if on_conflict is None else on_conflict.value,
            ttl=ttl,
            fence=fence,
            message=message,
            metadata=said,
        )
    if as_json:
        output.json(form(entry))
    else:
        output.line(f"{key}: version {entry.version}, revision {entry.revision}")


def get(context: typer.Context, agent: Agent, state_type: Tier, key: Key, at: At = None, as_json: Json = False) -> None:
    """Print a value as JSON, or bytes as they are.

    JSON is indented on a terminal and on one line in a pipe. A key without a value, deleted or expired ones included,
    ends with status 1. With --at the value is read as it was then.
    """
    asked = None if at is None else point(at)
    with opened(context) as store:
        shown = store if asked is None else as_of(store, asked, agent)
        found = shown.states.get(agent, state_type, key, MISSING)
    if found is MISSING:
        raise absent(agent, state_type, key, at)
    output.value(found, as_json)


def delete(
    context: typer.Context,
    agent: Agent,
    state_type: Tier,
    key: Key,
    expect: Expect = None,
    fence: Fence = None,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Delete a value; its history stays.

    The deletion is a version like any other: the value can still be read as it was before, and put back with revert.
    """
    with opened(context) as store:
        with store.transaction() as tx:
            deleted = tx.states.delete(agent, state_type, key, expected_version=expect, fence=fence, message=message)
        revision = tx.revision
    if not deleted:
        raise absent(agent, state_type, key)
    if as_json:
        output.json({"deleted": True, "revision": revision})
    else:
        output.line(f"{key}: deleted, revision {revision}")


def keys(context: typer.Context, agent: Agent, state_type: Tier, pattern: Pattern = "*", as_json: Json = False) -> None:
    """Print the keys that have a value, one a line, in order.

    The order is that of code points, and a key on a line of its own is escaped where it holds a line end or what moves
    a cursor; --json has it as it is.
    """
    with opened(context) as store:
        found = store.states.keys(agent, state_type, pattern)
    if as_json:
        output.json(found)
    else:
        output.lines(found)


def absent(agent: str, state_type: str, key: str, at: str | None = None) -> Refused:
    """Return the refusal for a key without a value."""
    return Refused(f"{key} ({state_type} of {agent}) has no value" + (f" at {at}" if at else ""))


def given_bytes(text: str) -> bytes:
    """Return the bytes an argument means: its own, or standard input's."""
    return output.stdin().read() if text == "-" else os.fsencode(text)


def given_json(file: str) -> Any:
    """Return the JSON a file holds, or with - standard input."""
    if file == "-":
        return parsed(output.stdin().read(), "standard input")
    with open(os.path.expanduser(file), "rb") as given:
        return parsed(given.read(), file)


def parsed(text: bytes, what: str = "VALUE") -> Any:
    from pydantic_core import from_json

    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise Usage(
            f"{what} is not JSON ({error}). Text needs quotes of its own inside the shell's: '\"dark\"'"
        ) from None


def given_metadata(text: str | None) -> dict[str, Any] | None:
    """Return the JSON object that --metadata says."""
    if text is None:
        return None
    found = parsed(text.encode(errors="surrogateescape"), "--metadata")
    if not isinstance(found, dict):
        raise Usage('--metadata is no JSON object, such as \'{"src": "ui"}\'')
    return found
