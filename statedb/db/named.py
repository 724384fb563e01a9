"""What has a name, as the deeds in the log have it: what the rows must show, and what they show instead.

    commit_deeds, oldest first ──▶ branches · checkpoints · conflicts · locks … as they must be ─┐
    their rows ──────────────────────────────────────────────────────────────────────────────────┴─▶ what differs

Of streams, which are many rows, it is `streamed` that says so, deed by deed.

Deeds are under the hashes of the log, and their rows are not: so nothing in a row is believed that no deed says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import and_, bindparam, func, literal_column, select

from statedb.db import streamed
from statedb.db.lineage import TRUNK
from statedb.db.statements import Row, Statement
from statedb.db.tables import (
    MAIN,
    agent_states,
    agents,
    branches,
    checkpoint_policies,
    commit_deeds,
    conflict_sides,
    state_checkpoints,
    state_commits,
    state_conflicts,
    state_locks,
    state_versions,
)
from statedb.db.tx import Tx
from statedb.errors import Corrupted
from statedb.models import MISSING
from statedb.values import codec
from statedb.values.codec import Encoded, Stored

Said = dict[str, Any]
Shown = tuple[Any, ...]
"""A row: what it is, its name, and whatever else must be as the log has it."""


def differing(tx: Tx, last: int) -> Iterator[str]:
    """Compare what has a name with what the log says was done to it, up to a revision."""
    told, streams = Told(), streamed.Told(tx)
    for revision, branch, at, said in _deeds(tx, last):
        try:
            for deed in from_json(said):
                told.do(revision, branch, at, deed)
                yield from streams.do(revision, deed)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            yield f"revision {revision} says of a thing with a name what no store says"
    yield from streams.rest()
    must, shown = Counter(told.rows()), Counter(_rows(tx))
    for what, name, *_ in must - shown:
        yield f"the {what} {name} is not there as the log has it"
    for what, name, *_ in shown - must:
        yield f"the {what} {name} is there otherwise than the log has it"
    yield from _sides(tx, told.sides)


def _deeds(tx: Tx, last: int) -> Iterator[Row]:
    after = 0
    while rows := tx.db.all(_DEEDS, {"after": after, "last": last}):
        yield from rows
        after = rows[-1][0]


class Told:
    """What there is by the deeds done so far: each thing a list of what its row holds, by what it is found by."""

    def __init__(self) -> None:
        trunk: list[Any] = ["branch", TRUNK, MAIN, None, 0, 0, None]
        self._all: list[list[Any]] = [trunk]
        self._branches: dict[str, list[Any]] = {TRUNK: trunk}
        self._checkpoints: dict[Shown, list[Any]] = {}
        self._policies: dict[Shown, list[Any]] = {}
        self._conflicts: dict[int, list[Any]] = {}
        self._locks: dict[int, list[Any]] = {}
        self._fence: list[Any] = ["last fence", "of the store", 0]
        self.sides: dict[tuple[int, str], Said | None] = {}

    def rows(self) -> Iterator[Shown]:
        """Yield what the rows must show."""
        yield from (tuple(each) for each in [*self._all, *self._policies.values(), *self._locks.values(), self._fence])

    def do(self, revision: int, branch: int, at: int, said: Said) -> None:
        """Take in a deed of a commit."""
        do = said["do"]
        if do == "branch":
            base = revision if said["base"] is None else said["base"]
            made = ["branch", said["name"], False, branch, base, revision, None]
            self._add(self._branches, said["name"], made)
        elif do == "end branch":
            self._branches.pop(said["name"])[-1] = revision
        elif do == "checkpoint":
            point = [revision, at] if said["at"] is None else said["at"]
            made = ["checkpoint", said["name"], branch, said["agent"], said["type"], *point, _text(said["metadata"])]
            self._add(self._checkpoints, (branch, said["name"], said["agent"]), [*made, revision, None])
        elif do == "end checkpoint":
            self._checkpoints.pop((branch, said["name"], said["agent"]))[-1] = revision
        elif do == "checkpoint policy":
            made = ["checkpoint policy of", said["agent"], branch, _text(said["config"]), revision]
            self._policies[branch, said["agent"]] = made
        elif do == "conflict":
            agent, tier, key = said["key"]
            made = ["conflict about", key, said["id"], branch, agent, tier, said["kind"], said["source"], revision]
            self._add(self._conflicts, said["id"], [*made, None, None])
            self.sides |= {(said["id"], side): held for side, held in said["sides"].items()}
        elif do == "resolve":
            self._conflicts.pop(said["id"])[-2:] = [revision, said["method"]]
        elif do == "lock":
            # Of when it ends nothing is said: a lease is renewed beside the log. Those that are over leave their rows.
            of = ["lock on", said["key"], said["id"], said["branch"], said["agent"], said["type"], said["fence"]]
            self._locks[said["id"]] = [*of, said["owner"], said["at"], _text(said["metadata"]), revision]
            self._fence[2] = max(self._fence[2], said["fence"])
        elif do in ("unlock", "lapse"):
            self._locks.pop(said["id"])

    def _add(self, found: dict[Any, list[Any]], called: Any, made: list[Any]) -> None:
        found[called] = made
        self._all.append(made)


def _rows(tx: Tx) -> Iterator[Shown]:
    for id, *row in tx.db.all(_BRANCHES, {}):
        yield ("branch", row[0], id == MAIN and MAIN, *row[1:])
    for name, *row, metadata, made, ended in tx.db.all(_CHECKPOINTS, {}):
        yield ("checkpoint", name, *row, _kept(metadata), made, ended)
    for agent, branch, config, revision in tx.db.all(_POLICIES, {}):
        yield ("checkpoint policy of", agent, branch, _kept(config), revision)
    for key, *row, resolution in tx.db.all(_CONFLICTS, {}):
        yield ("conflict about", key, *row, _method(resolution))
    for key, *row, metadata, revision in tx.db.all(_LOCKS, {}):
        yield ("lock on", key, *row, _kept(metadata), revision)
    for (fence,) in tx.db.all(_LAST_FENCE, {}):
        yield ("last fence", "of the store", fence or 0)


def _text(value: Any) -> str:
    return to_json(value).decode()


def _kept(text: str | None) -> str | None:
    """Return a JSON text as deeds have it; one that is none as it stands."""
    try:
        return _text(None if text is None else from_json(text))
    except ValueError:
        return text


def _method(resolution: str | None) -> Any:
    try:
        return None if resolution is None else from_json(resolution)["method"]
    except (ValueError, KeyError, TypeError):
        return resolution


# ---- what the sides of conflicts hold


def _sides(tx: Tx, told: dict[tuple[int, str], Said | None]) -> Iterator[str]:
    left = dict(told)
    for key, conflict, side, branch, version, *kept in tx.db.all(_SIDES, {}):
        if side == "settled":
            continue  # the log says only that it was settled, and how: what was written is a version, or stood already
        said = told.get((conflict, side), {})
        left.pop((conflict, side), None)
        of = said or {}
        is_there = version == of.get("version") and (version is None or branch == of["branch"])
        if not is_there or not _holds(tx, conflict, Stored(*kept), said):
            yield f"the side {side} of conflict {conflict}, about {key}, is not as the log has it"
    for conflict, side in left:
        yield f"the side {side} of conflict {conflict} is not there as the log has it"


def _holds(tx: Tx, conflict: int, stored: Stored, said: Said | None) -> bool:
    """Tell whether a side holds what the log says: nothing, a value, or what a version's digest is of."""
    if stored.codec == codec.ERASED:
        return True
    try:
        plain = b"" if stored.codec is None else codec.plain(stored)
        value = MISSING if stored.codec is None else codec.decode(stored)
    except Corrupted:
        return False
    if said is None or value is MISSING:
        return said is None and value is MISSING
    if "digest" in said:
        salts = [salt for (salt,) in tx.db.all(_SALTS, {"conflict": conflict})]
        return any(codec.digest(salt, Encoded(stored, plain)).hex() == said["digest"] for salt in salts)
    made = tx.db.all(_MADE, {"conflict": conflict, "version": said.get("version")})
    # Nothing can be said of a version that was cut, nor of one that this very commit wrote over later on.
    if not made or any(floor or is_own for _, _, floor, is_own in made):
        return True
    return any(codec.digest(salt, Encoded(stored, plain)) == digest for salt, digest, _, _ in made)


# ---- statements

_b, _k, _p, _x, _h = branches.c, state_checkpoints.c, checkpoint_policies.c, state_conflicts.c, conflict_sides.c
_c, _d, _a, _s, _v = state_commits.c, commit_deeds.c, agents.c, agent_states.c, state_versions.c
_l = state_locks.c

_DEEDS = Statement(
    select(_d.revision, _c.branch_id, _c.at, _d.said)
    .join_from(commit_deeds, state_commits, _c.revision == _d.revision)
    .where(_d.revision > bindparam("after"), _d.revision <= bindparam("last"))
    .order_by(_d.revision)
    .limit(literal_column("500"))
)
_BRANCHES = Statement(select(_b.id, _b.name, _b.parent_id, _b.base, _b.created_revision, _b.ended_revision))
_CHECKPOINTS = Statement(
    select(
        _k.checkpoint_name, _k.branch_id, _a.name, _k.checkpoint_type, _k.revision, _k.instant, _k.metadata,
        _k.created_revision, _k.ended_revision,
    ).select_from(state_checkpoints.outerjoin(agents, _a.id == _k.agent_id))
)  # fmt: skip
_POLICIES = Statement(
    select(_a.name, _p.branch_id, _p.config, _p.created_revision).join_from(
        checkpoint_policies, agents, _a.id == _p.agent_id
    )
)
_CONFLICTS = Statement(
    select(
        _x.state_key, _x.id, _x.branch_id, _a.name, _x.state_type, _x.kind, _x.source, _x.created_revision,
        _x.ended_revision, _x.resolution,
    ).select_from(state_conflicts.outerjoin(agents, _a.id == _x.agent_id))
)  # fmt: skip
_LOCKS = Statement(
    select(
        _l.state_key, _l.id, _l.branch_id, _a.name, _l.lock_type, _l.fence, _l.locked_by, _l.locked_at, _l.metadata,
        _l.changed_revision,
    )
    .select_from(state_locks.outerjoin(agents, _a.id == _l.agent_id))
    .where(_l.fence.is_not(None), _l.ended_revision.is_(None))
)  # fmt: skip
_LAST_FENCE = Statement(select(func.max(_l.fence)))
_SIDES = Statement(
    select(_x.state_key, _h.conflict_id, _h.side, _h.branch_id, _h.version, _h.codec, _h.value, _h.data).select_from(
        conflict_sides.outerjoin(state_conflicts, _x.id == _h.conflict_id)
    )
)
_of_key = and_(_s.agent_id == _x.agent_id, _s.state_type == _x.state_type, _s.state_key == _x.state_key)
_SALTS = Statement(
    select(_s.salt).select_from(state_conflicts.join(agent_states, _of_key)).where(_x.id == bindparam("conflict"))
)
_MADE = Statement(
    select(_s.salt, _v.digest, _s.floor, _v.revision == _x.created_revision)
    .select_from(state_conflicts.join(agent_states, _of_key).join(state_versions, _v.state_id == _s.id))
    .where(_x.id == bindparam("conflict"), _v.version == bindparam("version"))
)
