"""A process that cuts old versions of a branch, as retention will, and dies in the middle of every other cut.

What it cuts it notes before, so that all there ever was can be told afterwards. It is a branch's since any key cut on
the trunk refuses every reader of what was made from it before: a branch pins what it was made from.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from statedb import Change, Store
from statedb.db.postgres.turn import LOCK
from tests.guarantees.recording import as_json, of_json
from tests.places import is_url
from tests.postgres import SCHEMA, connect
from tests.rigs.processes import Board

NAME = "cutter"
BEHIND = 15
"""How many revisions below the newest a floor lies at most; it is never above."""

LAB = "lab"


def cut(where: str, folder: Path, name: str, seed: int) -> None:
    """Cut once, or die half way. For `Process`."""
    board, chance = Board(folder), random.Random(f"{seed} {name}")
    since = kept_to(board)
    log = board.log(name)
    with Store(where) as store:
        head = store.transfer.head()
        branch = next(each.id for each in store.branches.list() if each.name == LAB)
        fresh = [change for change in all_after(store.branch(LAB), since) if change.revision <= head]
    for change in fresh:
        log.say("kept", json.dumps(as_json(change)))
    log.say("to", head)
    # At random, or where something ended: what is deleted exactly there is the last that a listing leaves out.
    ends = [change.revision for change in fresh if change.change in ("delete", "expire")]
    floor = chance.choice([*ends[-3:], max(0, head - chance.randrange(BEHIND))])
    with transaction(where) as execute:
        execute(f"update agent_states set floor = {floor} where {_CUT.format(floor=floor, branch=branch)}")
        if chance.random() < 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        execute(f"delete from state_versions where {_OLD.format(floor=floor, branch=branch)}")
    log.say("cut", floor)


_CUT = (
    "branch_id = {branch} and floor < {floor} "
    "and exists (select 1 from state_versions v where v.state_id = agent_states.id and v.revision < {floor})"
)
_OLD = (
    "revision < (select max(n.revision) from state_versions n where n.state_id = state_versions.state_id "
    "and n.revision <= {floor}) and state_id in (select id from agent_states where branch_id = {branch})"
)


STEPS = {
    "before it has cut anything": "select 1",
    "half way": "update agent_states set floor = 2",
    "before its end": "delete from state_versions where revision < 2",
}
"""The steps of cutting all below revision 2, by when one dies who dies after them."""


def die(where: str, when: str) -> None:
    """Cut, and die before it is committed. For `Process`."""
    with transaction(where) as execute:
        for step, text in STEPS.items():
            execute(text)
            if step == when:
                os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def transaction(where: str) -> Iterator[Callable[[str], Any]]:
    """Write on a store's tables as a store does: in its turn."""
    if is_url(where):
        with closing(connect(where)) as link, link.transaction():
            link.execute(f"select {LOCK.replace('$1', repr(SCHEMA))}".encode())
            yield lambda text: link.execute(text.encode())
    else:
        with closing(sqlite3.connect(where, timeout=60, isolation_level=None)) as file:
            file.execute("begin immediate")
            yield file.execute
            file.execute("commit")


def all_after(store: Any, since: int) -> list[Change]:
    """Return what the feed of a branch has after a revision."""
    found: list[Change] = []
    while page := store.feed.changes(since=since, limit=10_000):
        found += page
        since = page[-1].revision
    return found


def cut_off(board: Board) -> list[Change]:
    """Return what was noted before it was cut, in order."""
    kept = [of_json(json.loads(said)) for said in _said(board, "kept")]
    return sorted({change.event_id: change for change in kept}.values(), key=lambda change: change.revision)


def kept_to(board: Board) -> int:
    """Return the revision up to which all has been noted."""
    return max(map(int, _said(board, "to")), default=0)


def floors(board: Board) -> list[int]:
    """Return how far was cut, each time that it was."""
    return [*map(int, _said(board, "cut"))]


def _said(board: Board, word: str) -> Iterator[str]:
    for name in board.names():
        for line in board.lines(name) if name.startswith(NAME) else ():
            what, _, said = line.partition(" ")
            if what == word:
                yield said
