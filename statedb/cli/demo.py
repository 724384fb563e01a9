"""demo: what the library is for, told with real calls on a real file.

A step is a function: its docstring is the story, its body the code that is shown, and what it returns the result, which
a later step takes as the parameter of that name. So what is shown is what ran.
"""

from __future__ import annotations

import inspect
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli.exits import Refused
from statedb.errors import VersionConflict
from statedb.models import Entry, Health, StateType, Version

if TYPE_CHECKING:
    from statedb.cli.demo_page import Page
    from statedb.store import Store

Keep = Annotated[Path | None, typer.Option("--keep", metavar="FOLDER", help="Keep the store, in this folder.")]
Step = Callable[..., Any]


class Clock:
    """A clock that can be put forward, so that nobody waits for a session to expire."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def forward(self, *, hours: float) -> None:
        self._ahead += hours * 3600


# ---- the story


def work(path: str, me: str) -> None:
    from statedb import Store

    with Store(path, actor=me) as store:
        store.states.set(me, "persistent", "profile", {"name": me, "allergies": ["nuts"]})
        store.states.set(me, "local", "draft", "Dear all,")
        store.agent(me).session("call-7", ttl=1800).set("topic", "the offsite")
        memory = [f"{me} learnt thing {each}" for each in range(900)]
        for step in range(40):
            with store.transaction(message=f"step {step}") as tx:
                tx.states.update("team", "shared", "steps", lambda steps: steps + 1, default=0)
                tx.states.set(me, "persistent", "memory", [*memory, f"{me} took step {step}"])


def agents(path: str) -> list[int | None]:
    """Two agents work in two processes, on one file. Each writes into four tiers; they share one counter."""
    processes = [get_context("spawn").Process(target=work, args=(path, me)) for me in ("ada", "ben")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def tiers(store: Store) -> dict[str, list[str]]:
    """What is Ada's own stands under her name, tier by tier; what they share, under the team's."""
    return {tier.value: store.states.keys("ada", tier) for tier in StateType}


def counter(store: Store) -> Any:
    """The counter has every step of both: no update was lost."""
    return store.states.get("team", "shared", "steps")


def plan(store: Store) -> Entry:
    """They agree on a plan, and both read this version of it."""
    return store.states.set("team", "shared", "plan", {"where": "Lisbon", "budget": 900})


def dearer(store: Store, plan: Entry) -> Entry:
    """Ada raises the budget, and says which version she has read."""
    hers = {**plan.value, "budget": 1200}
    return store.states.set("team", "shared", "plan", hers, expected_version=plan.version)


def refused(store: Store, plan: Entry) -> Any:
    """Ben adds a date to the version he has read. His write would undo hers, and is refused."""
    his = {**plan.value, "date": "9 May"}
    try:
        store.states.set("team", "shared", "plan", his, expected_version=plan.version)
    except VersionConflict as conflict:
        return conflict


def merged(store: Store, plan: Entry) -> Entry:
    """Merged by JSON path, both changes stand."""
    his = {**plan.value, "date": "9 May"}
    return store.states.set("team", "shared", "plan", his, expected_version=plan.version, on_conflict="merge")


def mistake(store: Store) -> int | None:
    """Then Ben tidies up, and wipes what Ada knew about herself."""
    with store.transaction(actor="ben", message="tidy up") as tx:
        tx.states.set("ada", "persistent", "profile", {})
    return tx.revision


def versions(store: Store) -> list[Version]:
    """Her profile's history tells who did it, when and why."""
    return store.history.versions("ada", "persistent", "profile")


def past(store: Store, mistake: int) -> Any:
    """The store can be read as it was just before that."""
    return store.at(mistake - 1).states.get("ada", "persistent", "profile")


def reverted(store: Store, versions: list[Version]) -> Entry:
    """And the value is put back, as a version like any other: the mistake stays in the history."""
    good = versions[1]
    return store.history.revert("ada", "persistent", "profile", good.version)


def later(store: Store, clock: Clock) -> dict[str, Any]:
    """Their call had a session, for half an hour after its last write. An hour later it is gone; not from the past."""
    before = store.transfer.head()
    clock.forward(hours=1)
    now = store.agent("ada").session("call-7").get("topic")
    return {"now": now, "then": store.at(before).agent("ada").session("call-7").get("topic")}


def health(store: Store) -> Health:
    """At the end the store compares itself with itself: every value, every hash, every number."""
    return store.health.check()


STORY: tuple[Step, ...] = (
    agents, tiers, counter, plan, dearer, refused, merged, mistake, versions, past, reverted, later, health,
)  # fmt: skip
"""The steps, in order."""


# ---- the telling


def demo(keep: Keep = None) -> None:
    """Tell what the library is for, with real calls on a real file.

    Two agents work on one store in two processes, meet a conflict, make a mistake, and get back what was lost. Every
    line of code that is shown is the code that runs.
    """
    from statedb.cli.demo_page import Page
    from statedb.store import Store

    page, clock = Page(), Clock()
    with _folder(keep) as folder:
        path = os.path.join(folder, "team.db")
        with Store(path, clock=clock) as store:
            known: dict[str, Any] = {"path": path, "store": store, "clock": clock}
            for step in STORY:
                known[step.__name__] = _tell(page, step, known)
                if any(known["agents"]):
                    raise Refused(f"the agents' processes ended with {known['agents']}; what they say stands above")
            written = _bytes_written(store)
        page.end(path if keep else None, written, os.path.getsize(path))


def _tell(page: Page, step: Step, known: dict[str, Any]) -> Any:
    """Tell a step, take it, and return its result."""
    page.story(inspect.getdoc(step))
    page.code(inspect.getsource(work) if step is agents else "", _body(step))
    result = step(**{name: known[name] for name in inspect.signature(step).parameters})
    page.result(result)
    return result


def _folder(keep: Path | None) -> AbstractContextManager[str | Path]:
    """Return the folder of the story: one that goes away, unless it is to be kept."""
    if keep is None:
        return tempfile.TemporaryDirectory(prefix="statedb-demo-")
    if (keep / "team.db").exists():
        raise Refused(f"{keep / 'team.db'} exists, and the story begins without a store; give another folder")
    keep.mkdir(parents=True, exist_ok=True)
    return nullcontext(keep)


def _body(step: Step) -> str:
    """Return the code of a step, without its head and docstring; what it returns stands as an expression."""
    lines = inspect.getsource(step).splitlines()[2:]
    return "\n".join(line[4:].removeprefix("return ") for line in lines)


def _bytes_written(store: Store) -> int:
    """Return the size of all the values that were written, version by version."""
    places = {(each.agent_id, each.state_type, each.key) for each in store.feed.changes(limit=1_000_000)}
    return sum(version.size for place in places for version in store.history.versions(*place))
