"""Fixtures: a test runs on every database it is for, and every store it opens through them is checked at its end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings

from statedb import Store
from tests.helpers import SHELLS, Clock
from tests.places import APART, SORTS, Places
from tests.postgres import Run, close_databases

settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

Opener = Callable[..., Any]
"""open_store(where, *, shell="sync", check=True, **settings) returns a store.

`where` is the test's own place unless told, or APART; `check` False: it may be damaged.
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where to make a store in a file."""
    return tmp_path / "store.db"


# ---- the databases


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    return cast(str, request.param)


@pytest.fixture
def places(database: str, tmp_path: Path) -> Iterator[Places]:
    with Places("file" if database == "sqlite" else database, tmp_path) as made:
        yield made


@pytest.fixture
def where(places: Places) -> str:
    """The test's own place."""
    return places.another()


@pytest.fixture
def open_store(clock: Clock, places: Places, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Open stores that are checked and closed at the end, and whose databases are checked once more after that."""
    with Opened(clock) as opened:

        def opener(where: str | None = None, **options: Any) -> Any:
            place = places.apart() if where == APART else where or request.getfixturevalue("where")
            return opened.open(place, **options)

        yield opener


@pytest.fixture
def filed(open_store: Opener) -> Store:
    """A synchronous store in the test's own place."""
    return cast(Store, open_store())


# In memory the asynchronous store is the file's, but for what `tests/test_model.py` and the tests of queries look at.
ALL_SORTS = (*SORTS, "async file", "async postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a `store` on every sort, or on those its module names in SORTS: where others are told apart."""
    told = any("sort" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "sort" in metafunc.fixturenames and not told:
        metafunc.parametrize("sort", getattr(metafunc.module, "SORTS", ALL_SORTS), indirect=True)


@pytest.fixture
def sort(request: pytest.FixtureRequest) -> str:
    return cast(str, request.param)


@pytest.fixture
def ground(sort: str, tmp_path: Path) -> Iterator[Places]:
    """Where `store` is, and has others beside it."""
    with Places(sort.split()[-1], tmp_path) as made:
        yield made


@pytest.fixture
def store(sort: str, ground: Places, clock: Clock) -> Iterator[Store]:
    """A store of every sort; the asynchronous ones are called as if they were not."""
    with Opened(clock) as opened:
        yield cast(Store, opened.open(ground.another(), shell="async" if sort.startswith("async ") else "sync"))


@pytest.fixture(params=SORTS)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place of every sort."""
    with Places(request.param, tmp_path) as places:
        yield places.another()


class Opened:
    """Stores that are checked and closed at the end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stores: list[tuple[Any, str, bool]] = []

    def open(self, where: str, *, shell: str = "sync", check: bool = True, **options: Any) -> Any:
        store = SHELLS[shell](where, **{"clock": self._clock, "durability": "normal", **options})
        self._stores.append((store, where, check))
        return store

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        for store, where, check in self._stores:
            try:
                if check and where == ":memory:":
                    assert store.health.check().problems == ()
            finally:
                store.close()
        for where in {where for _, where, check in self._stores if check} - {":memory:"}:
            with Store(where, clock=self._clock) as again:
                assert again.health.check().problems == ()


# ---- the run

THIS = pytest.StashKey[Run]()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[THIS] = Run()


def pytest_unconfigure(config: pytest.Config) -> None:
    close_databases()
    if run := config.stash.get(THIS, None):
        run.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if found := database_of(item):
            item.user_properties.append(("database", found))


def database_of(item: pytest.Item) -> str | None:
    """Return the database a test runs on, None for one that needs none."""
    told = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    if any("postgres" in each.split() for each in told if isinstance(each, str)):
        return "PostgreSQL"
    used = set(getattr(item, "fixturenames", ()))
    return "SQLite" if used & {"database", "store", "anywhere", "path", "tmp_path"} else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests passed on each database: that a suite ran on both is to be seen, not to be believed."""
    passed = terminalreporter.stats.get("passed", [])
    found = Counter(dict(each.user_properties).get("database", "neither") for each in passed)
    counts = (f"{found[name]:,} on {name}" for name in ("SQLite", "PostgreSQL", "neither"))
    terminalreporter.write_line(f"passed: {', '.join(counts)}")
