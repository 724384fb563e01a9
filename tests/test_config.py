"""Settings: keywords, environment and the table of their defaults."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from statedb import AsyncStore, InvalidValue, Settings, Store
from tests.helpers import run


def test_a_keyword_overrides_the_environment_which_overrides_the_default(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings.load({}).durability == "full"
    monkeypatch.setenv("STATEDB_DURABILITY", "normal")
    monkeypatch.setenv("STATEDB_ACTOR", "from the environment")
    monkeypatch.setenv("STATEDB_BUSY_TIMEOUT", "2.5")
    monkeypatch.setenv("STATEDB_CLOCK", "no clock comes from there")
    with Store(path, actor="told") as store:
        assert (store.settings.durability, store.settings.busy_timeout, store.settings.actor) == ("normal", 2.5, "told")
        assert store.states.set("a", "local", "k", 1).created_by == "told"


@pytest.mark.parametrize(
    "wrong",
    [{"durability": "none"}, {"actor": 5}, {"busy_timeout": 0}, {"transaction_timeout": -1}, {"max_value_bytes": 0},
     {"max_batch": 0}, {"unknown": 1}, {"clock": 5}, {"cache_bytes": -1}, {"cache_policy": "mru"}, {"cache_ttl": 0},
     {"redis_url": "http://localhost"}, {"on_cache_miss": 5}],
    ids=repr,
)  # fmt: skip
def test_a_setting_that_cannot_be_one_is_refused_before_a_file_is_made(path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        Store(path, **wrong)
    assert not path.exists()


@pytest.mark.parametrize("url", ["zebra", "redis://:zebra@h:p", "redis://:zeb/ra@h", "redis://:zebra@h?unknown=1"])
@pytest.mark.parametrize("shell", ["sync", "async"])
def test_what_is_no_url_of_a_redis_is_refused_and_not_repeated(path: Path, url: str, shell: str) -> None:
    async def opened() -> None:
        await AsyncStore(path, redis_url=url)

    with pytest.raises(InvalidValue, match="redis_url") as refused:
        Store(path, redis_url=url) if shell == "sync" else run(opened())
    assert "zeb" not in "".join(traceback.format_exception(refused.value))
    assert not path.exists()


def test_settings_that_are_shown_keep_the_password_of_redis() -> None:
    assert "zebra" not in repr(Settings.load({"redis_url": "redis://:zebra@h"}))


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
def test_durability_is_what_sqlite_is_told(path: Path, durability: Any, level: int) -> None:
    with Store(path, durability=durability) as store:
        raw: Any = store._engine._pool.writer  # type: ignore[attr-defined]
        assert raw.raw.execute("pragma synchronous").fetchall() == [(level,)]
        assert raw.raw.execute("pragma journal_mode").fetchall() == [("wal",)]


@pytest.mark.parametrize("name", ["busy_timeout", "transaction_timeout"])
def test_a_timeout_without_end_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        Store(":memory:", **{name: float("inf")})  # type: ignore[arg-type]
