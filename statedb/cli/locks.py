"""lock acquire, renew, release, list: who may write a key, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import Agent, Json
from statedb.cli.exits import Refused
from statedb.cli.forms import form
from statedb.cli.signals import until_asked
from statedb.cli.states import given_metadata
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.values.lock import LockType

if TYPE_CHECKING:
    from statedb.values.lock import Lock

Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="Which key, in all four tiers.", show_default=False, autocompletion=completion.lockable
    ),
]
Whose = Annotated[
    str | None,
    typer.Argument(
        metavar="AGENT", help="Only of this agent's keys.", show_default=False, autocompletion=completion.agents
    ),
]
Fence = Annotated[int, typer.Argument(metavar="FENCE", min=1, help="The lock's, as acquire printed it.")]
Type = Annotated[
    LockType, typer.Option("--type", help="read shares with read and write, write with read, exclusive with none.")
]
Ttl = Annotated[float, typer.Option("--ttl", metavar="SECONDS", help="The lease: it ends after so long.")]
Anew = Annotated[float | None, typer.Option("--ttl", metavar="SECONDS", help="A lease of so long; else as before.")]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="Wait in line for so long; inf: as long as it takes.")
]
Owner = Annotated[str | None, typer.Option("--owner", metavar="NAME", help="Who holds it; else the actor.")]
Metadata = Annotated[str | None, typer.Option("--metadata", metavar="JSON", help="A JSON object kept with the lock.")]
Waiting = Annotated[bool, typer.Option("--waiting", help="Those who wait in line too, first come first.")]

TTL = 30.0
_SAID = ("agent_id", "key", "type", "fence", "owner", "acquired_at", "expires_at", "ttl", "metadata")


def acquire(
    context: typer.Context,
    agent: Agent,
    key: Key,
    type: Type = LockType.EXCLUSIVE,
    ttl: Ttl = TTL,
    wait: Wait = 0,
    owner: Owner = None,
    metadata: Metadata = None,
    as_json: Json = False,
) -> None:
    """Lock a key, and print the fence of the lock.

    While a write or exclusive lock stands, the key is written with that lock's fence alone: set and delete take it by
    --fence. The lock ends by itself after --ttl seconds, unless it is renewed or released by its fence. A store that
    does not exist yet is made.
    """
    said = given_metadata(metadata)
    with until_asked(), opened(context, create=True) as store:
        lock = store.locks.acquire(agent, key, type.value, ttl=ttl, wait=wait, owner=owner, metadata=said)
        if as_json:
            output.json({name: getattr(lock, name) for name in _SAID})
        else:
            output.line(f"{lock.fence}")


def renew(context: typer.Context, fence: Fence, ttl: Anew = None, as_json: Json = False) -> None:
    """Have a lock's lease begin anew.

    Where the lease has ended, the command ends with status 1: the key may be somebody else's by now.
    """
    with opened(context) as store:
        lock = store.locks.renew(fence, ttl)
    if as_json:
        output.json(form(lock))
    else:
        output.line(f"{lock.key}: lock {lock.fence} until {output.fact(lock.expires_at)}")


def release(context: typer.Context, fence: Fence) -> None:
    """Give a lock back, and let the next in line have it.

    Where the lease had ended before, the command ends with status 1.
    """
    with opened(context) as store:
        if not store.locks.release(fence):
            raise Refused(f"the lease of fence {fence} had ended before, or was given back")


def list_(context: typer.Context, agent: Whose = None, waiting: Waiting = False, as_json: Json = False) -> None:
    """Print the locks that stand, in the order of keys.

    Each line is a lock: its key and type, its fence, who holds it, since when and until when unless it is renewed. Who
    waits has no fence; what stands there is since when, and until when at most.
    """
    with opened(context) as store:
        found = store.locks.list(agent, waiting=waiting)
    if as_json:
        output.json([form(each) for each in found])
    else:
        tables.table(("agent", "key", "type", "fence", "owner", "since", "until"), map(_row, found))


# ---- inside


def _row(found: Lock) -> tuple[Any, ...]:
    since, until = output.when(found.acquired_at), output.when(found.expires_at)
    return (found.agent_id, found.key, found.type.value, found.fence, found.owner, since, until)
