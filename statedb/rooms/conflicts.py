"""Conflicts: what waits for somebody to say what a key is to hold, and the saying of it."""

from __future__ import annotations

import builtins
from typing import Any

from statedb.db import conflicts
from statedb.db.conflicts import stands
from statedb.db.journal import default_ttl
from statedb.db.rewrite import Content, content_now, steps, take
from statedb.db.tx import Tx
from statedb.errors import Erased, InvalidValue, NoSuchConflict, VersionConflict
from statedb.models import MISSING, UNAVAILABLE, Address
from statedb.values import codec, strategy
from statedb.values.arguments import natural, said
from statedb.values.conflict import Conflict, Resolution
from statedb.values.frozen import thawed
from statedb.values.glob import glob
from statedb.values.names import name, tier
from statedb.values.same import same
from statedb.values.strategy import Settled, Strategy
from statedb.values.typed import as_json


def list(
    tx: Tx,
    agent_id: str | None = None,
    state_type: str | None = None,
    pattern: str = "*",
    *,
    resolved: bool | None = False,
) -> builtins.list[Conflict]:
    """Return the conflicts of this branch in the order they were recorded: open ones, settled ones, or (None) all.

    Those of the branches beneath stay theirs. `agent_id`, `state_type` and `pattern`, a glob of keys, narrow it.
    """
    agent = None if agent_id is None else name(agent_id, "agent_id")
    of = None if state_type is None else tier(state_type)
    if said(pattern, "the pattern") is None:
        raise InvalidValue("the pattern is None; it is a glob such as 'plan/*'")
    keys = glob(pattern)

    def wanted(at: Address) -> bool:
        return agent in (None, at.agent_id) and of in (None, at.state_type) and keys.takes(at.key)

    return conflicts.listed(tx, resolved, wanted)


def get(tx: Tx, id: int) -> Conflict:
    """Return a conflict of this branch, settled or not. Raises NoSuchConflict."""
    return conflicts.get(tx, natural(id, "id", 1))


def resolve(
    tx: Tx,
    id: int,
    value: Any = ...,
    *,
    strategy: Strategy | None = None,
    expected_version: int | None = None,
    message: str | None = None,
) -> Resolution:
    """Settle a conflict: write what the key is to hold, and end the conflict, in one commit.

    Either `value`, of which MISSING deletes the key, or a strategy, which does what it would have done in the first
    place: in a write ours and theirs are whole values, in a merge of branches what only one side touched is kept. The
    key keeps its metadata, and its ttl restarts. Where something else stands by now than when the conflict was
    recorded, raises VersionConflict, unless `expected_version` is the version that does (0: no value). Raises
    NoSuchConflict for one that is settled already.
    """
    open_ = _open(tx, id)
    at = Address(open_.agent_id, open_.state_type.value, open_.key)
    if (value is ...) == (strategy is None):
        raise InvalidValue("a conflict is settled by a value or by a strategy; give one of them")
    now = content_now(tx, at)
    settled = _said(tx, value) if strategy is None else _settled(open_, now, strategy)
    _check_standing(open_, now, settled.value, expected_version)
    if settled.clashes:
        raise _conflict(
            open_, now, settled, "a merge leaves open what both sides changed; give a value, ours or theirs"
        )
    held = now._replace(version=None) if now.version else Content(MISSING, None, default_ttl(at.state_type))
    take(tx, steps(tx, [(at, held._replace(value=settled.value))]))
    tx.writing.say(message or f"resolve conflict {id}")
    return conflicts.settle(tx, open_, settled.value, settled.method)


def _open(tx: Tx, id: int) -> Conflict:
    found = get(tx, id)
    if found.resolution is not None:
        how = found.resolution
        when = f"by revision {how.revision}" if how.revision else "in this transaction"
        raise NoSuchConflict(f"conflict {id} was settled already, {when} ({how.method}); write the value instead")
    return found


def _said(tx: Tx, value: Any) -> Settled:
    made = as_json(value)
    if made is not MISSING:
        codec.encode(made, tx.settings.max_value_bytes)  # first of all: nothing else can walk into what is no JSON
    return Settled(thawed(made), (), "value")


def _settled(conflict: Conflict, now: Content, how: Strategy) -> Settled:
    """Return what a conflict is settled to, with what stands by now on the side that stood."""
    side = stands(conflict)
    strategy.check(how, "strategy")
    rule = strategy.of_key(how, conflict.key, stands=side, default="merge")
    if rule in ("raise", "manual"):
        raise InvalidValue(f"strategy {rule!r} settles nothing; give merge, ours, theirs, a function, or a value")
    base, ours, theirs = conflict.base, conflict.ours, conflict.theirs
    three = (base, now.value, theirs) if side == "ours" else (base, ours, now.value)
    if UNAVAILABLE in three:
        raise Erased(f"a side of conflict {conflict.id} was erased; say by a value what the key is to hold")
    return strategy.settle(rule, *three, stands=side, whole=conflict.source is None)


def _check_standing(conflict: Conflict, now: Content, value: Any, expected: int | None) -> None:
    ours = stands(conflict) == "ours"
    recorded = conflict.ours_version if ours else conflict.theirs_version
    wanted = recorded or 0 if expected is None else natural(expected, "expected_version")
    # The transaction that recorded it may have gone on to write the key: then the same version holds something else.
    stood = expected is not None or same(now.value, conflict.ours if ours else conflict.theirs)
    if (now.version or 0) != wanted or not stood:
        was = f"version {wanted}" if wanted else "no value"
        raise _conflict(
            conflict,
            now,
            Settled(value, (), "value"),
            f"{was} was expected to stand; look again, and give the version that does as expected_version",
            wanted,
        )


def _conflict(
    conflict: Conflict, now: Content, settled: Settled, why: str, expected: int | None = None
) -> VersionConflict:
    key = f"{conflict.key} ({conflict.state_type} of {conflict.agent_id})"
    is_at = f"is at version {now.version}" if now.version else "has no value"
    return VersionConflict(
        f"conflict {conflict.id} is not settled: {key} {is_at}, and {why}",
        agent_id=conflict.agent_id,
        state_type=conflict.state_type.value,
        key=conflict.key,
        expected_version=now.version or 0 if expected is None else expected,
        version=now.version or 0,
        base=conflict.ours if stands(conflict) == "ours" else conflict.theirs,
        ours=settled.value,
        theirs=now.value,
        conflicts=settled.clashes,
    )
