"""What SQLite makes of the statements that ask the past: none may look at every key or at the whole log."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from statedb import Store
from statedb.db import cuts, differences, events, streams, versions
from statedb.db.sqlite.connection import DIALECT
from statedb.rooms import log, undo

TABLES = "agent_states|state_|commit_agents|session|stream_|event_"


def plan(path: Path, statement: Any) -> str:
    """Return SQLite's plan of a statement, on a store with a few keys and commits."""
    with Store(path) as store:
        store.states.set_many("a", "local", {f"k{n}": n for n in range(20)})
    text, order = statement.on(DIALECT)
    names = (
        "branch",
        "revision",
        "agent",
        "after",
        "last",
        "since",
        "until",
        "top",
        "limit",
        "by",
        "state",
        "state_type",
        "name",
        "stream",
        "first",
        "types",
        "version",
    )
    given = dict.fromkeys((*names, "low", "high", "key"), 1)
    with closing(sqlite3.connect(path)) as raw:
        return " | ".join(row[3] for row in raw.execute(f"explain query plan {text}", order(given)))


STATEMENTS = {
    "what was cut": cuts._ALL,
    "what was cut of an agent": cuts._OF_AGENT,
    "what was cut in a range": cuts._IN_RANGE,
    "what differs": differences._SEEN,
    "what differs of an agent": differences._SEEN_OF_AGENT,
    "whether a commit touched an agent": undo._TOUCHES,
    "versions": versions._LISTED,
    "versions by an author": versions._LISTED_BY,
    "a version by its number": versions._NEAREST,
    "the oldest version": versions._OLDEST,
    "where a stream stands": streams._FIND,
    "the newest snapshot": events._SNAPSHOT,
    "what a stream has of ids": events._MARKS,
    **{f"a stream's events, backward {which}": statement for which, statement in events._EVENTS.items()},
    **{f"all events, by {which}": statement for which, statement in events._EVERYTHING.items()},
    **{f"streams, of an agent {which}": statement for which, statement in events._LISTED.items()},
    **{f"commits, {which}": statement for which, statement in log._COMMITS.items()},
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_looks_at_every_key_or_the_whole_log(name: str, path: Path) -> None:
    found = plan(path, STATEMENTS[name])
    assert "(branch_id=?)" not in found, found
    assert "(branch_id=? AND agent_id=?)" not in found, found
    for step in found.split(" | "):
        assert (
            not re.match(r"SCAN (agent_states|state_|commit_agents|session|stream_|event_)", step) or "USING" in step
        ), found
    assert "TEMP B-TREE FOR ORDER BY" not in found or "differs" in name or "cut" in name, found
