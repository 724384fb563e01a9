"""Real histories: versions of JSON files from public repositories, imported, read back and exported.

The files are no part of the project, and STATEDB_HISTORIES names their folder. Where it is missing the tests run on a
made-up history of the same form alone, and those on the real ones say that they were skipped.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from statedb import InvalidValue, Store
from statedb.times import micros
from statedb.values.codec import zstd
from statedb.values.patch import json_patch, merge_patch
from statedb.values.same import equal, same
from tests.values.plainly import leaves, sayable

FOLDER = Path(os.environ.get("STATEDB_HISTORIES", Path(__file__).parents[2] / "shared" / "data" / "histories"))
REAL = sorted(FOLDER.glob("*.jsonl.zst"))
EFFORT = int(os.environ.get("TEST_EFFORT", "1"))
"""With 4, two hundred pairs of versions and twenty turning points of each history, every version and every blame."""


@pytest.fixture(scope="module", params=["made up", "real"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if request.param == "real":
        if not REAL:
            pytest.skip(f"no histories in {FOLDER}; STATEDB_HISTORIES names their folder")
        return REAL
    made = tmp_path_factory.mktemp("histories") / "made-up.jsonl.zst"
    made.write_bytes(zstd.compress(b"".join(to_json(line) + b"\n" for line in _made_up())))
    return [made]


def _made_up() -> Iterator[dict[str, Any]]:
    chance = random.Random(1)
    value: dict[str, Any] = {"name": "made-up", "items": [chance.randrange(9999) for _ in range(4000)]}
    for number in range(300):
        value["items"][chance.randrange(4000)] = chance.choice([None, 1.0, 1, True, "ü", {"n": number}])
        yield {"at": 1_500_000_000 + 1000 * (number // 2) + chance.choice([0, 0.25]), "value": value}


def lines(path: Path) -> Iterator[tuple[float, Any]]:
    with zstd.open(path, "rb") as unpacked:
        for line in unpacked:
            said = from_json(line)
            yield said["at"], said["value"]


def statedb(store: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "statedb", "-f", str(store), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def imported(store: Path, path: Path) -> None:
    statedb(store, "import", str(path), "--agent", "repo", "--type", "persistent", "--key", path.name)


def check_versions(store: Store, path: Path, *, every: int = 1) -> None:
    """Versions read back equal, in order, each with its time; of values, one in so many is looked at."""
    versions = store.history.versions("repo", "persistent", path.name)[::-1]
    told = 0
    for told, (seconds, value) in enumerate(lines(path), 1):
        version = versions[told - 1]
        assert version.version == told
        assert micros(version.origin_at) == micros(seconds)
        if told % every == 0:
            assert same(store.history.get("repo", "persistent", path.name, told).value, value)
    assert told == len(versions)


def test_each_history_in_a_store_of_its_own_reads_back_equal_and_at_its_time(files: list[Path], tmp_path: Path) -> None:
    for path in files:
        target = tmp_path / f"{path.name}.db"
        imported(target, path)
        with Store(target) as store:
            check_versions(store, path, every=5)
            latest = 0.0
            for version in store.history.versions("repo", "persistent", path.name)[::-1]:
                latest = max(latest, version.origin_at.timestamp())
                assert version.at.timestamp() == latest, "a line out of order is made with the newest before it"
            times = list(accumulate((seconds for seconds, _ in lines(path)), max))
            last = bisect_right(times, times[len(times) // 2])
            then = store.at(store.history.commit(last).at).states.entry("repo", "persistent", path.name)
            assert then is not None
            assert then.version == last
            assert store.health.check().ok


def test_all_histories_in_one_store_come_out_and_in_again_byte_for_byte(files: list[Path], tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    for path in files:
        imported(one, path)
    with Store(one) as store:
        for path in files:
            check_versions(store, path, every=max(1, 5 - EFFORT))
        assert store.health.check().ok
    statedb(one, "export", "--output", str(tmp_path / "one.jsonl"))
    statedb(two, "import", str(tmp_path / "one.jsonl"))
    statedb(two, "export", "--output", str(tmp_path / "two.jsonl"))
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    with Store(two) as store:
        assert store.health.check().ok


def test_diffs_blame_and_bisect_agree_with_the_plain_way(files: list[Path], tmp_path: Path) -> None:
    for path in files:
        target = tmp_path / f"{path.name}.db"
        imported(target, path)
        with Store(target) as store:
            where = ("repo", "persistent", path.name)
            values = [value for _, value in lines(path)]
            check_diffs(store, where, values)
            check_blame(store, where, values)
            check_bisect(store, where, values)


def check_diffs(store: Store, where: tuple[str, str, str], values: list[Any]) -> None:
    """The patches between random pairs of versions turn one into the other."""
    chance = random.Random(0)
    for _ in range(50 * EFFORT):
        a, b = chance.randrange(len(values)), chance.randrange(len(values))
        found = store.history.diff(*where, a + 1, b + 1)
        assert equal(json_patch(values[a], found.json_patch()), values[b])
        if sayable(values[a], values[b]):
            assert equal(merge_patch(values[a], found.merge_patch()), values[b])
        else:
            with pytest.raises(InvalidValue):
                found.merge_patch()


def check_blame(store: Store, where: tuple[str, str, str], values: list[Any]) -> None:
    """Blame names for every leaf the version that a replay of all versions before names, at two of them."""
    values = values[: len(values) * min(EFFORT, 4) // 4]
    found: dict[str, int] = {}
    before: dict[str, str] = {}
    for version, value in enumerate(values, 1):
        now = leaves(value)
        found = {at: found[at] if before.get(at) == leaf else version for at, leaf in now.items()}
        before = now
        if version in (len(values) // 2, len(values)):
            past = store.at(store.history.get(*where, version).revision)
            assert {at: each.version for at, each in past.history.blame(*where).items()} == found


def check_bisect(store: Store, where: tuple[str, str, str], values: list[Any]) -> None:
    """Bisect finds the version a scan finds, for every version at which something turned true and stayed so."""
    texts = [to_json(value) for value in values]
    turns = [n for n in range(len(texts)) if not set(texts[:n]) & set(texts[n:])]
    for turn in random.Random(0).sample(turns, min(5 * EFFORT, len(turns))):
        since = set(texts[turn:])
        found = store.history.bisect(*where, lambda value: to_json(value) in since)  # noqa: B023
        assert found is not None
        assert found.version == next(n for n, text in enumerate(texts, 1) if text in since)
