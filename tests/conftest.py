"""Fixtures: every store a test opens through them is checked at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings

from statedb import Store
from tests.helpers import SHELLS, Clock

settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

Opener = Callable[..., Any]
"""open_store(where=path, *, shell="sync", check=True, **settings) returns a store; `check` False: it may be damaged."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def open_store(clock: Clock, path: Path) -> Iterator[Opener]:
    """Open stores that are checked and closed at the end, and whose files are checked once more after that."""
    opened: list[tuple[Any, Any, bool]] = []

    def opener(where: Any = path, *, shell: str = "sync", check: bool = True, **options: Any) -> Any:
        store = SHELLS[shell](where, **{"clock": clock, "durability": "normal", **options})
        opened.append((store, where, check))
        return store

    yield opener
    for store, where, check in opened:
        try:
            if check and str(where) == ":memory:":
                assert store.health.check().problems == ()
        finally:
            store.close()
    for where in {str(where) for _, where, check in opened if check} - {":memory:"}:
        with Store(where, clock=clock) as again:
            assert again.health.check().problems == ()


@pytest.fixture(params=["file", "memory", "async file", "async memory"])
def store(request: pytest.FixtureRequest, open_store: Opener, path: Path) -> Store:
    """A store of every sort; the asynchronous ones are called as if they were not."""
    *shell, place = request.param.split()
    where = path if place == "file" else ":memory:"
    return cast(Store, open_store(where, shell=shell[0] if shell else "sync"))


@pytest.fixture
def filed(open_store: Opener) -> Store:
    """A synchronous store in a file."""
    return cast(Store, open_store())
