"""What versions hold: whoever reads the past gets what was written, whichever version it is kept as a delta on."""

from __future__ import annotations

import asyncio
import json
import math
import random
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from statedb import AsyncStore, Corrupted, Store
from statedb.db import bases, contents
from statedb.values import chains, delta
from tests.conftest import Opener
from tests.helpers import run
from tests.places import is_url, raw, tamper

K = ("a", "persistent", "k")
GONE = object()


def document(dice: random.Random, size: int = 30) -> dict[str, Any]:
    return {"rows": [{"id": n, "text": dice.choice("abcdef") * 20} for n in range(size)]}


def script(dice: random.Random, length: int) -> Iterator[Any]:
    """Yield what a key holds, one version after another: small changes, others, bytes, deletions, back to before."""
    value: Any = document(dice)
    past = [value]
    for _ in range(length):
        yield value
        match dice.randrange(12):
            case 0 if value is not GONE:
                value = GONE
            case 1:
                value = document(dice, dice.choice([0, 3, 60])) | {"n": dice.random()}
            case 2:
                value = json.dumps(document(dice)).encode() + dice.randbytes(8)
            case 3:
                value = dice.choice(past)
            case _:
                value = json.loads(json.dumps(value)) if isinstance(value, dict) else document(dice)
                value.setdefault("rows", []).append({"id": dice.randrange(999), "text": "more"})
        past.append(value)


def write(store: Any, value: Any) -> None:
    if value is GONE:
        store.states.delete(*K)
    else:
        store.states.set(*K, value, metadata={"n": random.random()})


def readers(store: Store) -> dict[str, Callable[[], list[Any]]]:
    """Return all the ways there are to read what a key held, oldest first."""
    history, newest = store.history, store.transfer.head()

    def exported(record: dict[str, Any]) -> Any:
        [change] = record["changes"]
        return b64decode(change["bytes"]) if "bytes" in change else change.get("value")

    return {
        "get": lambda: [history.get(*K, v.version).value for v in reversed(history.versions(*K))],
        "at": lambda: [store.at(r).states.get(*K) for r in range(1, newest + 1)],
        "items": lambda: [dict(store.at(r).states.items("a", "persistent")).get("k") for r in range(1, newest + 1)],
        "feed": lambda: [change.new_value for change in store.feed.changes(limit=10_000)],
        "feed, page by page": lambda: [store.feed.changes(r, 1)[0].new_value for r in range(newest)],
        "what was before": lambda: [*(c.old_value for c in store.feed.changes(limit=10_000)[1:]), store.states.get(*K)],
        "changes": lambda: [d.new_value for r in range(newest) for d in history.changes(r, r + 1)],
        "export": lambda: [exported(record) for record in store.transfer.export(limit=10_000)],
        "query": lambda: [
            None if value is None else json.loads(value)
            for (value,) in store.query("select value from history order by revision")
        ],
    }


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("everything", [False, True])
def test_every_reader_gets_what_was_written(
    filed: Store, everything: bool, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "INSTALLED", fast)
    if everything:  # a delta, however small the value and however little it saves
        monkeypatch.setattr(delta, "FROM", 0)
        monkeypatch.setattr(delta, "_LEAST_BASE", 8)
        monkeypatch.setattr(delta, "_WORTH", math.inf)
    dice = random.Random(7)
    written = list(script(dice, 70))
    for value in written:
        write(filed, value)
    kept = filed.history.versions(*K)
    held = [None if value is GONE else value for value in written]
    assert len(kept) == len(held)
    for name, read in readers(filed).items():
        found = read()
        # A query shows no bytes.
        wanted = [None if isinstance(value, bytes) else value for value in held] if name == "query" else held
        assert found == wanted, name
    for number in dice.sample(range(1, len(held) + 1), 10):
        if held[number - 1] is not None:
            assert filed.history.revert(*K, number).value == held[number - 1]
            assert filed.states.get(*K) == held[number - 1]


def test_a_version_lies_few_deltas_from_a_whole_one(filed: Store, where: str) -> None:
    value = document(random.Random(1))
    filed.transfer.load_versions(*K, ((1e9 + n, value | {"n": n}) for n in range(300)))
    rows = raw(where, "select version, revision, base from state_versions", by=filed)
    versions = {revision: version for version, revision, _ in rows}
    on = {version: versions.get(base) for version, _, base in rows}
    for version in range(2, 301):
        number, place = divmod(version, bases.RUN)
        assert on[version] == (version - 1 if place else max(1, bases.RUN * (number & (number - 1))))
    for version in on:
        depth, at = 0, version
        while (below := on[at]) is not None:
            depth, at = depth + 1, below
        assert depth <= 4 + math.log2(version + 1)


def test_writes_in_one_transaction_and_beside_each_other_are_read_back(open_store: Opener, where: str) -> None:
    value = document(random.Random(2))

    async def main() -> None:
        async with AsyncStore(where) as store:
            await store.states.set(*K, value | {"n": 0})

            def more(found: Any) -> Any:
                return found | {"n": found["n"] + 1, "last": "x" * found["n"]}

            await asyncio.gather(*(store.states.update(*K, more) for _ in range(40)))

    run(main())
    store = open_store()
    found = [store.history.get(*K, version).value["n"] for version in range(1, 42)]
    assert found == list(range(41))
    whole = raw(where, "select version from state_versions where base is null", by=store)
    # On a server, what is not there yet is nothing to begin a run on.
    assert {version for (version,) in whole} <= ({1, 8, 16, 24, 32, 40} if is_url(where) else {1})
    for _ in range(12):
        with store.transaction() as tx:
            for n in range(3):
                tx.states.update(*K, lambda v, n=n: v | {"n": v["n"] + 1})
            tx.states.set("a", "persistent", "other", value | {"n": 2})
    assert [store.history.get(*K, version).value["n"] for version in range(42, 54)] == list(range(43, 79, 3))
    assert store.states.get(*K)["n"] == 76


# ---- damage


@pytest.fixture
def grown(open_store: Opener) -> Store:
    store: Store = open_store(check=False)
    value = document(random.Random(3))
    for n in range(20):
        store.states.set(*K, value | {"n": n})
    return store


def test_a_damaged_base_is_said_by_all_that_build_on_it_and_by_no_other(grown: Store, where: str) -> None:
    tamper(where, "update state_versions set data = null where version = 10", by=grown)
    for version in range(1, 21):
        if version in (8, 9) or version < 8 or version >= 16:
            assert grown.history.get(*K, version).value["n"] == version - 1
        else:
            with pytest.raises(Corrupted):
                grown.history.get(*K, version)
    problems = "\n".join(grown.health.check().problems)
    assert all((f"version {version} " in problems) is (10 <= version < 16) for version in range(1, 21))


def test_a_missing_base_is_corrupted(grown: Store, where: str) -> None:
    tamper(where, "delete from state_versions where version = 3", by=grown)
    with pytest.raises(Corrupted, match="missing"):
        grown.history.get(*K, 5)
    assert grown.history.get(*K, 2).value["n"] == 1
    assert grown.health.check().problems


def test_a_value_that_is_not_what_was_written_is_never_given_out(grown: Store, where: str) -> None:
    swapped = "(select data from state_versions where version = 12)"
    tamper(where, f"update state_versions set data = {swapped} where version = 13", by=grown)
    for read in (
        lambda: grown.history.get(*K, 13),
        lambda: grown.at(13).states.get(*K),
        lambda: grown.at(13).states.items("a", "persistent"),
        lambda: grown.feed.changes(12, 1),
        lambda: grown.transfer.export(since=12, limit=1),
        lambda: grown.history.changes(12, 13),
    ):
        with pytest.raises(Corrupted):
            read()


@pytest.mark.parametrize("version", [20, 17, 16, 8, 1])
def test_nobody_is_kept_from_writing_by_a_damaged_past(grown: Store, where: str, version: int) -> None:
    tamper(where, f"update state_versions set data = null, value = 'x' where version = {version}", by=grown)
    value = grown.states.get(*K)
    for n in range(20, 40):
        assert grown.states.set(*K, value | {"n": n}).version == n + 1
    assert grown.states.get(*K)["n"] == 39
    readable = [number for number in range(21, 41) if not _is_lost(grown, number)]
    assert readable[-17:] == list(range(24, 41)), "a run does not begin on what is damaged"


def test_a_head_that_is_not_what_was_written_is_no_base(grown: Store, where: str) -> None:
    tamper(
        where,
        "update agent_states set value = replace(value, '\"id\":1,', '\"id\":7,') where state_key = 'k'",
        by=grown,
    )
    wrong = grown.states.get(*K)
    assert any("k shows a value" in problem for problem in grown.health.check().problems)
    grown.states.set(*K, wrong | {"n": 20})
    assert grown.history.get(*K, 21).value == wrong | {"n": 20}
    assert grown.history.get(*K, 20).value["rows"][1]["id"] == 1


@pytest.mark.parametrize("version", [20, 16, 8, 1])
def test_an_erased_version_is_no_base(grown: Store, where: str, version: int) -> None:
    erased = "set codec = 4, value = null, data = null"
    tamper(where, f"update state_versions {erased}, base = null where version = {version}", by=grown)
    if version == 20:
        tamper(where, f"update agent_states {erased} where state_key = 'k'", by=grown)
    for n in range(20, 40):
        assert grown.states.set(*K, document(random.Random(1)) | {"n": n}).version == n + 1
    assert [grown.history.get(*K, number).value["n"] for number in range(24, 41)] == list(range(23, 40))


def _is_lost(store: Store, version: int) -> bool:
    try:
        store.history.get(*K, version)
    except Corrupted:
        return True
    return False


def test_large_values_are_put_together_without_keeping_them_all(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    remember = contents.Contents._remember

    def remembered(self: contents.Contents, *args: Any) -> None:
        remember(self, *args)
        sizes.append(sum(map(len, self._known.values())))

    monkeypatch.setattr(contents, "_KNOWN", 10_000)
    monkeypatch.setattr(contents.Contents, "_remember", remembered)
    store = open_store()
    value = document(random.Random(4), 100)
    for n in range(40):
        store.states.set(*K, value | {"n": n})
    assert [change.new_value["n"] for change in store.feed.changes(limit=100)] == list(range(40))
    assert 0 < max(sizes) <= 10_000
    assert {version.version for version in store.history.blame(*K).values()} == {1, 40}
