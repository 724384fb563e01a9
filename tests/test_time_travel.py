"""Branches, merges, restores, undos and checkpoints, driven at random beside a model that copies whole dictionaries."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from statedb import MISSING, Store, VersionConflict
from statedb.errors import CheckpointExists, InvalidValue, NoSuchBranch, NoSuchCheckpoint
from statedb.times import moment
from statedb.values.merge import merge
from statedb.values.same import same
from tests.helpers import SHELLS, Clock
from tests.places import Places
from tests.timetravel import TRUNK, Held, Mark, Merging, Model, Strategy, Where, held_alike

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))

AGENTS, TIERS = ("a", "b"), ("local", "shared", "persistent")
NAMES = ("x", "y", "z")
"""Names of branches: few, so that they are used again."""
MARKS = ("p", "q")
"""Names of checkpoints."""


def settle(base: Any, ours: Any, theirs: Any) -> Any:
    """Settle a conflict as nothing else would."""
    return {"p": {"base": type(base).__name__}, "ours": type(ours).__name__, "theirs": type(theirs).__name__}


# Few, so that the same place is changed on several branches.
PLACES = [
    ("a", "shared", "k"), ("a", "shared", "l"), ("a", "persistent", "k"), ("b", "shared", "k"), ("b", "local", "l"),
]  # fmt: skip
wheres: st.SearchStrategy[Where] = st.sampled_from(PLACES)
scalars = st.sampled_from([0, 1, 1.0, True, None, "x"])
# Objects most of all: theirs are the merges that are neither one side nor the other.
fields = st.dictionaries(st.sampled_from("pqr"), scalars | st.dictionaries(st.sampled_from("st"), scalars), max_size=3)
values = fields | fields | st.sampled_from([1, "text", b"raw"])
Many = list[tuple[Where, Any]]
many: st.SearchStrategy[Many] = st.lists(st.tuples(wheres, values | st.just(MISSING)), min_size=1, max_size=4)
picks = st.integers(0, 5)
"""Which of the branches there are, by number; the trunk is the first."""
agos = st.integers(0, 8)
strategies: st.SearchStrategy[Strategy] = st.sampled_from(["merge", "merge", "ours", "theirs", settle])
narrows = st.fixed_dictionaries(
    {},
    optional={
        "agent_id": st.sampled_from(AGENTS),
        "state_type": st.sampled_from(TIERS),
        "keys": st.sampled_from(["k", "l", "*"]),
    },
)


def step(name: str, /, **drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Return a strategy for one thing a machine may do: which, and how."""
    return st.tuples(st.just(name), st.fixed_dictionaries(drawn))


marks = {"mark": st.sampled_from(MARKS), "agent": st.none() | st.sampled_from(AGENTS)}
# Of one rule, not of many: Hypothesis leaves out most rules of a machine in any one example, and here each needs most
# of the others. How often a step stands here is how often it is taken.
STEPS = [
    (4, step("write", pick=picks, many=many)),
    (2, step("write_one", pick=picks, where=wheres, value=values | st.just(MISSING))),
    (3, step("fork", pick=picks, name=st.sampled_from(NAMES), ago=st.none() | agos)),
    (1, step("drop", pick=picks)),
    (5, step("merge", source=picks, into=picks, how=strategies)),
    (2, step("restore", pick=picks, ago=agos, narrow=narrows)),
    (2, step("undo", pick=picks, ago=agos)),
    (1, step("mark", pick=picks, **marks, ago=st.none() | agos)),
    (1, step("unmark", pick=picks, **marks)),
    (1, step("restore_mark", pick=picks, **marks)),
    (1, step("look_at_mark", pick=picks, **marks)),
    (1, step("time_goes_on", seconds=st.sampled_from([0.000001, 1]))),
    (1, step("open_again")),
    (1, step("look_back", pick=picks, ago=agos)),
]
steps = st.one_of([each for weight, each in STEPS for _ in range(weight)])


class Machine(RuleBasedStateMachine):
    shell, sort = "sync", "file"

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.model = Clock(), Model()
        self.folder = tempfile.TemporaryDirectory()
        self.places = Places(self.sort, Path(self.folder.name))
        self.where = self.places.another()
        self.store: Any = self.open()
        self.head = 0

    def open(self) -> Any:
        return SHELLS[self.shell](self.where, clock=self.clock, durability="normal")

    @initialize(first=many, on_trunk=many, on_branch=many)
    def begin(self, first: Many, on_trunk: Many, on_branch: Many) -> None:
        self.write(0, first)
        self.fork(0, NAMES[0], None)
        self.write(0, on_trunk)
        self.write(1, on_branch)

    @rule(step=steps)
    def go(self, step: tuple[str, dict[str, Any]]) -> None:
        name, how = step
        getattr(self, name)(**how)

    def on(self, pick: int) -> tuple[str, Any]:
        """Return one of the branches there are: its name, and the store on it."""
        name = [TRUNK, *sorted(self.model.lines.keys() - {TRUNK})][pick % len(self.model.lines)]
        return name, self.store if name == TRUNK else self.store.branch(name)

    # ---- writing

    def write(self, pick: int, many: Many) -> None:
        name, lab = self.on(pick)
        with lab.transaction() as tx:
            for where, value in many:
                put(tx, where, value)
        changes = self.model.difference(self.model.now(name), {**self.model.now(name), **dict(many)})
        assert tx.revision == self.made(bool(changes))
        self.keep(name, changes)

    def write_one(self, pick: int, where: Where, value: Any) -> None:
        name, lab = self.on(pick)
        put(lab, where, value)
        changes = self.model.difference(self.model.now(name), {**self.model.now(name), where: value})
        self.made(bool(changes))
        self.keep(name, changes)
        assert len(lab.history.versions(*where)) == len(self.model.versions(name, where))

    def fork(self, pick: int, name: str, ago: int | None) -> None:
        parent, lab = self.on(pick)
        if name in self.model.lines:
            return
        at = None if ago is None else max(0, self.head - ago)
        made = lab.branches.create(name, at=at)
        assert (made.name, made.parent) == (name, parent)
        base = self.head if at is None else at
        self.made(True)
        self.model.fork(name, parent, base, made.id)
        assert contents(self.store.branch(name)) == self.model.now(name)

    def drop(self, pick: int) -> None:
        name, _ = self.on(pick)
        if name == TRUNK:
            return
        self.store.branches.delete(name)
        self.made(True)
        self.model.drop(name)
        with pytest.raises(NoSuchBranch):
            self.store.branch(name).states.get("a", "local", "k")

    # ---- merging

    def merge(self, source: int, into: int, how: Strategy) -> None:
        (source_name, _), (into_name, lab) = self.on(source), self.on(into)
        if source_name == into_name:
            return
        wanted = self.model.merging(source_name, into_name, how)
        planned = self.store.branches.merge(source_name, into=into_name, strategy=how, preview=True)
        assert planned.revision is None
        self.made(False)
        done = self.store.branches.merge(source_name, into=into_name, strategy=how)
        assert changes_of(planned) == changes_of(done)
        assert clashes_of(planned) == clashes_of(done)
        clashes = set(clashes_of(done))
        if len(wanted.clashing) == 1:
            assert clashes == wanted.clashing[0]
        else:  # whatever the store takes for a base, it finds no more than all of them together
            assert clashes <= set[Where]().union(*wanted.clashing)
        if clashes:
            assert done.revision is None
            self.made(False)
            return
        self.made(done.revision is not None)
        before = self.model.now(into_name)
        if done.revision is None:
            self.agrees(wanted, before, {})
            return
        assert done.revision == self.head
        changes = self.committed(lab)
        self.agrees(wanted, before, changes)
        assert changes_of(done) == changes
        self.model.commit(into_name, self.head, self.clock.micros, changes, [self.model.lines[source_name].tip])

    def agrees(self, wanted: Merging, before: Held, changes: Held) -> None:
        """Every key is to hold what was wanted of it: what only one side touched is never lost."""
        assert changes.keys() <= wanted.values.keys()
        for where, any_of in wanted.values.items():
            found = changes.get(where, before.get(where, MISSING))
            assert any(held_alike(found, each) for each in any_of), where

    # ---- going back

    def restore(self, pick: int, ago: int, narrow: dict[str, str]) -> None:
        name, lab = self.on(pick)
        point = max(0, self.head - ago)
        self.restored(name, lab, self.model.at(name, point), narrow, lambda **how: lab.restore(point, **narrow, **how))

    def restored(self, name: str, lab: Any, then: Held, narrow: dict[str, str], restore: Any) -> None:
        now = self.model.now(name)
        kept = {where: value for where, value in now.items() if not within(where, narrow)}
        back = {where: value for where, value in then.items() if within(where, narrow)}
        changes = self.model.difference(now, {**kept, **back})
        planned = restore(dry_run=True)
        assert planned.revision is None
        self.made(False)
        done = restore()
        assert changes_of(planned) == changes_of(done) == changes
        assert done.revision == self.made(bool(changes))
        if changes:
            assert self.committed(lab) == changes
        self.keep(name, changes)

    def undo(self, pick: int, ago: int) -> None:
        name, lab = self.on(pick)
        seen = self.model.lines[name].seen
        if ago + 1 >= len(seen):
            return
        node = self.model.nodes[seen[-1 - ago]]
        if not node.wrote:
            return
        before, now = self.model.at(name, node.revision - 1), self.model.now(name)
        wanted = Merging({w: [taken_back(before, node.held, now, w)] for w in node.wrote})
        if any(None in each for each in wanted.values.values()):
            with pytest.raises(VersionConflict):
                lab.undo(revision=node.revision)
            self.made(False)
            return
        wanted.values = {where: [each[0][0]] for where, each in wanted.values.items()}
        done = lab.undo(revision=node.revision)
        assert done.revision == self.made(done.revision is not None)
        changes = {} if done.revision is None else self.committed(lab)
        self.agrees(wanted, now, changes)
        self.keep(name, changes)

    # ---- checkpoints

    def mark(self, pick: int, mark: str, agent: str | None, ago: int | None) -> None:
        name, lab = self.on(pick)
        line = self.model.lines[name]
        at = None if ago is None else max(0, self.head - ago)
        if (mark, agent) in line.marks:
            with pytest.raises(CheckpointExists):
                lab.checkpoints.create(mark, agent_id=agent, at=at)
            self.made(False)
            return
        made = lab.checkpoints.create(mark, agent_id=agent, at=at)
        self.made(True)
        assert (made.name, made.agent_id, made.branch) == (mark, agent, name)
        named = Mark(self.head if at is None else at, line.id)
        line.marked.append((self.head, {**line.marks, (mark, agent): named}))

    def unmark(self, pick: int, mark: str, agent: str | None) -> None:
        name, lab = self.on(pick)
        line = self.model.lines[name]
        was = line.marks.get((mark, agent))
        if was is not None and was.line != line.id:
            with pytest.raises(InvalidValue):
                lab.checkpoints.delete(mark, agent_id=agent)
            self.made(False)
            return
        assert lab.checkpoints.delete(mark, agent_id=agent) == (was is not None)
        self.made(was is not None)
        if was is not None:
            left = {each: point for each, point in line.marks.items() if each != (mark, agent)}
            line.marked.append((self.head, left))

    def restore_mark(self, pick: int, mark: str, agent: str | None) -> None:
        name, lab = self.on(pick)
        meant = self.model.lines[name].meant(mark, agent)
        if meant is None:
            with pytest.raises((NoSuchCheckpoint, InvalidValue)):
                lab.checkpoints.restore(mark, agent_id=agent)
            return
        narrow = {} if meant[1] is None else {"agent_id": meant[1]}
        then = self.model.at(name, meant[0])
        self.restored(name, lab, then, narrow, lambda **how: lab.checkpoints.restore(mark, agent_id=agent, **how))

    def look_at_mark(self, pick: int, mark: str, agent: str | None) -> None:
        name, lab = self.on(pick)
        line = self.model.lines[name]
        self.check_marks(name, lab)
        meant = line.meant(mark, agent)
        if meant is None:
            return
        then, now = self.model.at(name, meant[0]), self.model.now(name)
        if (mark, None) in line.marks:
            assert contents(lab.at(mark)) == self.model.at(name, line.marks[mark, None].revision)
        since = self.model.difference(then, now)
        of_agent = {where: value for where, value in since.items() if meant[1] in (None, where[0])}
        assert landed(lab.checkpoints.diff(mark, agent_id=agent)) == of_agent

    def check_marks(self, name: str, lab: Any) -> None:
        listed = {(each.name, each.agent_id): each.revision for each in lab.checkpoints.list()}
        assert listed == {mark: point.revision for mark, point in self.model.lines[name].marks.items()}

    # ---- the rest

    def time_goes_on(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def open_again(self) -> None:
        self.store.close()
        self.store = self.open()

    def look_back(self, pick: int, ago: int) -> None:
        name, lab = self.on(pick)
        revision = max(0, self.head - ago)
        assert contents(lab) == self.model.now(name)
        assert contents(lab.at(revision)) == self.model.at(name, revision)
        since = landed(lab.history.changes(revision, self.head))
        assert since == self.model.difference(self.model.at(name, revision), self.model.now(name))

    # ---- agreement

    def made(self, something: bool) -> int | None:
        """Check that a commit was made, or none; return its revision."""
        self.head += something
        assert self.store.transfer.head() == self.head
        return self.head if something else None

    def keep(self, name: str, changes: Held) -> None:
        if changes:
            self.model.commit(name, self.head, self.clock.micros, changes)

    def committed(self, lab: Any) -> Held:
        """Return what the newest commit wrote."""
        return landed(lab.history.commit(self.head).changes)

    def check_branches(self) -> None:
        listed = {each.name: each.id for each in self.store.branches.list()}
        assert listed == {name: line.id for name, line in self.model.lines.items()}
        for name in self.model.lines:
            lab = self.store.branch(name)
            for revision in range(self.head + 1):
                assert contents(lab.at(revision)) == self.model.at(name, revision), (name, revision)
            assert contents(lab) == self.model.now(name)
            for stamp in {node.at - off for node in self.model.nodes.values() if node.revision for off in (0, 1)}:
                seen = [each for each in self.model.lines[name].seen if self.model.nodes[each].at <= stamp]
                assert contents(lab.at(moment(stamp))) == self.model.at(name, seen[-1])
            self.check_versions(name, lab)
            self.check_marks(name, lab)

    def check_versions(self, name: str, lab: Any) -> None:
        for where in {where for node in self.model.nodes.values() for where in node.wrote}:
            found, made = lab.history.versions(*where), self.model.versions(name, where)
            assert [each.version for each in found] == list(range(len(made), 0, -1))
            assert [each.revision for each in found] == [revision for revision, _ in reversed(made)]
            for number, (revision, value) in enumerate(made, 1):
                entry = lab.history.get(*where, version=number)
                assert same(entry.value, None if value is MISSING else value)
                assert (entry.deleted, entry.revision) == (value is MISSING, revision)

    def teardown(self) -> None:
        try:
            self.check_branches()
            assert self.store.health.check().problems == ()
        finally:
            self.store.close()
            self.places.close()
            self.folder.cleanup()


def put(rooms: Any, where: Where, value: Any) -> None:
    if value is MISSING:
        rooms.states.delete(*where)
    else:
        rooms.states.set(*where, value)


class Exactly(dict[Any, Any]):
    """A dict that is equal to another only where all values are the same, types and order of members included."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and self.keys() == other.keys() and all(same(self[k], other[k]) for k in self)

    __hash__ = None


def contents(rooms: Any) -> Held:
    """Return all that a branch holds, now or at a point."""
    return Exactly(
        ((agent, tier, key), value)
        for agent in AGENTS
        for tier in TIERS
        for key, value in rooms.states.items(agent, tier)
    )


def landed(changes: Any) -> Held:
    """Return what keys hold after changes."""
    return Exactly(
        (
            (each.agent_id, each.state_type.value, each.key),
            each.new_value if each.change in ("create", "update") else MISSING,
        )
        for each in changes
    )


def changes_of(outcome: Any) -> Held:
    return landed(outcome.changes)


def clashes_of(outcome: Any) -> dict[Where, tuple[str, Any]]:
    return {
        (each.agent_id, str(each.state_type), each.key): (each.kind, tuple(clash.path for clash in each.clashes))
        for each in outcome.conflicts
    }


def within(where: Where, narrow: dict[str, str]) -> bool:
    agent, tier, key = where
    return (
        narrow.get("agent_id", agent) == agent
        and narrow.get("state_type", tier) == tier
        and narrow.get("keys", key) in (key, "*")
    )


def taken_back(before: Held, after: Held, now: Held, where: Where) -> Any:
    """Return, in a tuple, what is left of a key when a commit is taken out of it; None where it was changed since."""
    old, new, value = (each.get(where, MISSING) for each in (before, after, now))
    found = merge(new, old, new if held_alike(new, value) else value)
    return None if found.conflicts else (found.value,)


EXAMPLES = {"sync file": 20, "async file": 10, "sync postgres": 4, "async postgres": 3}
"""How many examples of each sort; a branch is of many journeys, which PostgreSQL makes one by one."""


@pytest.mark.parametrize("sort", EXAMPLES)
def test_a_store_with_branches_is_what_the_model_says(sort: str) -> None:
    driven = type("Driven", (Machine,), dict(zip(("shell", "sort"), sort.split(), strict=True)))
    run_state_machine_as_test(
        driven, settings=settings(max_examples=EXAMPLES[sort] * EFFORT, stateful_step_count=30, deadline=None)
    )


# ---- what the machine came upon


def test_a_branch_made_before_the_first_commit_takes_in_what_is_merged_into_it(store: Store) -> None:
    store.states.set(*PLACES[0], 1)
    store.branches.create("x", at=0)
    assert [each.new_value for each in store.branches.merge("main", into="x").changes] == [1]
    assert store.branch("x").states.get(*PLACES[0]) == 1
