"""Automatic checkpoints: the log decides when one is due, inside the transaction that makes it, so that one is made.

    a write ──▶ journal.flush ──▶ watch ─┬─▶ the log since the last automatic checkpoint ──▶ a deed, in that commit
    a quiet store ────────────▶ run_due ─┘

There is no counter and no lease: whoever writes next finds what is due, in whatever process. A checkpoint that fell due
while nobody wrote is made for the instant at which it was due, since it only names a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic_core import from_json
from sqlalchemy import Select, and_, bindparam, func, insert, literal_column, select, update

from statedb.db import checkpoints
from statedb.db.context import Point
from statedb.db.deeds import Deed, do
from statedb.db.points import last_before
from statedb.db.rows import agent_id_of
from statedb.db.statements import Row, Statement
from statedb.db.tables import (
    MAIN,
    agent_states,
    agents,
    checkpoint_policies,
    commit_agents,
    state_checkpoints,
    state_commits,
    state_versions,
)
from statedb.db.tx import Staged, Tx
from statedb.live.schedule import Schedule, Tally
from statedb.models import Address, Checkpoint, CheckpointType
from statedb.times import moment
from statedb.values import autocheckpoint
from statedb.values.autocheckpoint import COUNT, INTERVAL, AutoCheckpoint, Counted, Trigger
from statedb.values.codec import json_text

UNSURE = -1
"""In place of the revision that last changed a policy: this very transaction of the database may have."""


class Policy(NamedTuple):
    """An agent's policy, and the point from which it holds."""

    agent_id: str
    agent: int
    config: AutoCheckpoint
    since: Point


@dataclass(frozen=True, slots=True)
class Configuring(Deed):
    """A policy that a transaction sets, before it is in the log."""

    row: int
    agent_id: str
    config: AutoCheckpoint | None


# ---- policies


def configure(tx: Tx, agent_id: str, config: AutoCheckpoint | None) -> None:
    """Stage an agent's policy, None for no more; nothing where it is that already. What is too many ends at once."""
    row, standing = _standing(tx, agent_id)
    if standing == config:
        return
    made = tx.connection.new_id(checkpoint_policies) if row is None else row
    text = autocheckpoint.text_of(config)
    said = {"do": "checkpoint policy", "agent": agent_id, "config": from_json(text)}
    do(
        tx,
        Configuring(
            "checkpoint", said, lambda tx: _write(tx, made, agent_id, text, row is None), made, agent_id, config
        ),
    )
    if config is not None:
        for each in checkpoints.newest_first(tx, agent_id, CheckpointType.AUTOMATIC, own=True)[
            config.max_checkpoints :
        ]:
            checkpoints.end(tx, each)


def _write(tx: Tx, row: int, agent_id: str, text: str, is_new: bool) -> None:
    values = {"config": text, "created_revision": tx.revision}
    if is_new:
        made = {"id": row, "branch_id": tx.branch, "agent_id": agent_id_of(tx, agent_id)}
        tx.connection.run(_INSERT, {**made, **values})
    else:
        tx.connection.run(_UPDATE, {**values, "row": row})
    tx.policies = UNSURE


def configuration(tx: Tx, agent_id: str) -> AutoCheckpoint | None:
    """Return an agent's policy as it stands."""
    return _standing(tx, agent_id)[1]


def _standing(tx: Tx, agent_id: str) -> tuple[int | None, AutoCheckpoint | None]:
    for deed in reversed(tx.deeds):
        if isinstance(deed, Configuring) and deed.agent_id == agent_id:
            return deed.row, deed.config
    row = tx.db.one(_ONE, {"branch": tx.branch, "agent": agent_id})
    return (None, None) if row is None else (row[0], autocheckpoint.read(row[1]))


def _known(tx: Tx) -> Mapping[tuple[int, str], Policy]:
    """Return every policy in force, by branch and agent."""
    if tx.schedule is None or tx.policies == UNSURE:
        return _read(tx)
    return tx.schedule.policies(tx.policies, lambda: _read(tx))


def _read(tx: Tx) -> dict[tuple[int, str], Policy]:
    found = {}
    for branch, agent_id, agent, text, revision, at in tx.connection.all(_ALL, {}):
        config = autocheckpoint.read(text)
        if config is not None and config.enabled:
            found[branch, agent_id] = Policy(agent_id, agent, config, Point(revision, at))
    return found


# ---- what is due


def watch(tx: Tx, changed: Mapping[Address, Staged]) -> None:
    """Add what a commit that is about to be written makes due to its deeds. Called where there are policies."""
    known = _known(tx)
    versions = [at for at, staged in changed.items() if staged.change is not None]
    for agent_id in sorted({at.agent_id for at in versions}):
        policy = known.get((tx.branch, agent_id))
        if policy is not None:
            _look_after(tx, policy, [at for at in versions if at.agent_id == agent_id])


def run_due(tx: Tx) -> list[Checkpoint]:
    """Stage what has fallen due by time alone."""
    made: list[Checkpoint] = []
    for (branch, _), policy in sorted(_known(tx).items()) if tx.policies else ():
        if branch == tx.branch:
            since = _since(tx, policy)
            found = _by_time(tx, policy, since)
            made += found
            _set_alarm(tx, policy, _point(tx, found[-1]) if found else since, ())
    return made


def next_due(tx: Tx) -> int | None:
    """Return when the next checkpoint falls due by time alone, in microseconds; None where none does."""
    policies = [policy for (branch, _), policy in _known(tx).items() if branch == tx.branch] if tx.policies else []
    found = [
        _due(tx, policy, _since(tx, policy), trigger, ())
        for policy in policies
        for trigger in policy.config.of(INTERVAL)
    ]
    return min((each for each in found if each is not None), default=None)


def signal(tx: Tx, agent_id: str, type: str) -> Checkpoint | None:
    """Stage what a signal makes, None where the agent's policy has no trigger for it."""
    policy = _known(tx).get((tx.branch, agent_id)) if tx.policies else None
    if policy is None:
        return None
    since = _since(tx, policy)
    staged = [at for at in tx.staged if at.agent_id == agent_id]
    for trigger in policy.config.of(type):
        if not trigger.is_narrow or _count(tx, policy, since, trigger.extent, staged, 1):
            return _make(tx, policy, None, type)
    return None


def _look_after(tx: Tx, policy: Policy, staged: list[Address]) -> None:
    since = _since(tx, policy)
    for made in _by_time(tx, policy, since):
        since = _point(tx, made)
    for trigger in policy.config.of(COUNT):
        within = any(trigger.extent.holds(at) for at in staged)
        if within and _count(tx, policy, since, trigger.extent, staged, trigger.count) >= trigger.count:
            _make(tx, policy, None, COUNT)
            return
    _set_alarm(tx, policy, since, staged)


def _by_time(tx: Tx, policy: Policy, since: Point) -> list[Checkpoint]:
    """Stage what fell due by time before now, for the instant at which it did."""
    made: list[Checkpoint] = []
    for trigger in policy.config.of(INTERVAL):
        due = _due(tx, policy, since, trigger, ())
        if due is not None and due <= tx.now:
            since = Point(last_before(tx, due, tx.revision), due)
            made.append(_make(tx, policy, since, INTERVAL))
    return made


def _due(tx: Tx, policy: Policy, since: Point, trigger: Trigger, staged: Iterable[Address]) -> int | None:
    """Return when the first change since a point is to be kept, in microseconds; None where nothing has changed."""
    changed = _tally(tx, policy, since, trigger.extent, 1).first
    if changed is None and any(trigger.extent.holds(at) for at in staged):
        changed = tx.now
    if changed is None:
        return None
    interval = policy.config.interval(trigger)
    return since.instant + max(1, -(-(changed - since.instant) // interval)) * interval


def _set_alarm(tx: Tx, policy: Policy, since: Point, staged: Iterable[Address]) -> None:
    """Have somebody look again when what has changed by now falls due, should nobody write until then."""
    found = [_due(tx, policy, since, trigger, staged) for trigger in policy.config.of(INTERVAL)]
    tx.due = min((each for each in (*found, tx.due) if each is not None), default=None)
    remind(tx)


def remind(tx: Tx) -> None:
    """Have somebody look when what a transaction has changed falls due; he must not see it before it is committed.

    On a file he waits for the write lock. On a server, where he might look too early, he is told once more afterwards.
    """
    if tx.due is not None and tx.schedule is not None and tx.schedule.alarm is not None:
        if tx.named is not None and tx.branch != MAIN:
            tx.schedule.lines.add(tx.named)
        tx.schedule.alarm(tx.due)


def _count(tx: Tx, policy: Policy, since: Point, extent: Counted, staged: Iterable[Address], most: int) -> int:
    """Return how many changes count since a point, those staged included, up to `most` of each."""
    return _tally(tx, policy, since, extent, most).number + sum(extent.holds(at) for at in staged)


def _tally(tx: Tx, policy: Policy, since: Point, extent: Counted, most: int) -> Tally:
    """Return how many changes that count are in the log since a point, up to `most`, and when the first was made.

    Each process looks at each change once: it keeps what it found up to a commit, and goes on from there if the log has
    that very commit, by its hash. To look at all of them with every write made a set 3 times as slow for a count of
    1,000.
    """
    given, schedule = _given(tx, policy, since, extent), tx.schedule or Schedule()
    known = schedule.tallies.get((tx.branch, policy.agent, extent, most))
    if known is None or known.since != since.revision:
        known = Tally(since.revision, since.revision, None, 0, None)
    if known.number < most:
        row = _look(tx, given, known, most)
        if known.hash is not None and row[2] != known.hash:
            known = Tally(since.revision, since.revision, None, 0, None)
            row = _look(tx, given, known, most)
        first = known.first if known.number else row[1]
        known = Tally(since.revision, tx.revision, tx.hash, known.number + row[0], first)
        schedule.tallies[tx.branch, policy.agent, extent, most] = known
    return known


def _look(tx: Tx, given: Mapping[str, object], known: Tally, most: int) -> Row:
    [row] = tx.connection.all(_TALLY, {**given, "since": known.upto, "limit": most - known.number})
    return row


def _given(tx: Tx, policy: Policy, since: Point, extent: Counted) -> dict[str, object]:
    return {"branch": tx.branch, "agent": policy.agent, "since": since.revision, **extent.bounds()}


def _since(tx: Tx, policy: Policy) -> Point:
    """Return the point of the agent's last automatic checkpoint, be it ended by now, or from which the policy holds."""
    given = {"branch": tx.branch, "agent": policy.agent, "configured": policy.since.revision}
    row = tx.connection.one(_LAST, given)
    return policy.since if row is None else Point(*row)


# ---- making


def _make(tx: Tx, policy: Policy, point: Point | None, trigger: str) -> Checkpoint:
    """Stage an automatic checkpoint, and the end of those that are one too many."""
    agent_id = policy.agent_id
    most = policy.config.max_checkpoints
    standing = checkpoints.newest_first(tx, agent_id, CheckpointType.AUTOMATIC, limit=most, own=True)
    called = _free_name(tx, agent_id, tx.now if point is None else point.instant)
    metadata = json_text({"trigger": trigger}, tx.settings.max_value_bytes).decode()
    made = checkpoints.make(tx, called, agent_id, CheckpointType.AUTOMATIC, metadata, point)
    for each in standing[most - 1 :]:
        checkpoints.end(tx, each)
    return made


def _free_name(tx: Tx, agent_id: str, instant: int) -> str:
    plain = f"auto-{moment(instant).isoformat().replace('+00:00', 'Z')}"
    called, number = plain, 1
    while checkpoints.one(tx, called, agent_id) is not None:
        number += 1
        called = f"{plain}-{number}"
    return called


def _point(tx: Tx, made: Checkpoint) -> Point:
    return checkpoints.point_of(tx, made)


# ---- statements

_p, _a, _c, _k = checkpoint_policies.c, agents.c, state_commits.c, state_checkpoints.c
_ca, _v, _s = commit_agents.c, state_versions.c, agent_states.c

_INSERT = Statement(
    insert(checkpoint_policies).values({column.name: bindparam(column.name) for column in checkpoint_policies.columns})
)
_UPDATE = Statement(
    update(checkpoint_policies)
    .where(_p.id == bindparam("row"))
    .values(config=bindparam("config"), created_revision=bindparam("created_revision"))
)
_of_agent = checkpoint_policies.join(agents, _a.id == _p.agent_id)
_ONE = Statement(
    select(_p.id, _p.config)
    .select_from(_of_agent)
    .where(_p.branch_id == bindparam("branch"), _a.name == bindparam("agent"))
)
_ALL = Statement(
    select(_p.branch_id, _a.name, _p.agent_id, _p.config, _p.created_revision, _c.at).select_from(
        _of_agent.join(state_commits, _c.revision == _p.created_revision)
    )
)
_LAST = Statement(
    select(_k.revision, _k.instant)
    .where(
        _k.agent_id == bindparam("agent"),
        _k.branch_id == bindparam("branch"),
        _k.checkpoint_type == CheckpointType.AUTOMATIC.value,
        _k.created_revision > bindparam("configured"),
    )
    .order_by(_k.created_revision.desc(), _k.revision.desc(), _k.instant.desc())
    .limit(1)
)


def _changes(found: Select[tuple[int]]) -> Select[tuple[int]]:
    """Return the select of an agent's versions since a revision that count, by its part of the log."""
    return found.select_from(
        commit_agents.join(state_versions, _v.revision == _ca.revision)
        .join(agent_states, and_(_s.id == _v.state_id, _s.agent_id == _ca.agent_id))
        .join(state_commits, _c.revision == _ca.revision)
    ).where(
        _ca.agent_id == bindparam("agent"),
        _ca.revision > bindparam("since"),
        # The sum keeps SQLite from the index that begins with the branch, which holds every key the agent has.
        _s.branch_id + literal_column("0") == bindparam("branch"),
        _s.state_type >= bindparam("first_type"),
        _s.state_type <= bindparam("last_type"),
        _s.state_key >= bindparam("low"),
        _s.state_key < bindparam("high"),
    )


_new = _changes(select(_c.at)).order_by(_ca.revision).limit(bindparam("limit")).subquery()
_upto = select(_c.hash).where(_c.revision == bindparam("since")).scalar_subquery()
_TALLY = Statement(select(func.count(), func.min(_new.c.at), _upto).select_from(_new))
