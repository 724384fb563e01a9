"""What a server says of commits, and what is asked of it in case it did not."""

from __future__ import annotations

import asyncio
from contextlib import closing

import psycopg
import pytest

from statedb import AsyncStore, Store
from statedb.config import Settings
from statedb.db.location import place_of
from statedb.db.postgres.listening import ASKED, ASKED_OFTEN, Word
from statedb.db.postgres.site import Site
from tests.conftest import Opener
from tests.helpers import HANG, run
from tests.places import only_postgres, raw
from tests.postgres import connect

pytestmark = only_postgres


def word(where: str, **options: object) -> Word:
    return Word(Site(place_of(where), Settings.load(options)))


def test_a_commit_is_heard_and_what_is_refused_or_changes_nothing_is_not(open_store: Opener, where: str) -> None:
    store = open_store()
    listening = word(where)
    with closing(listening):
        assert listening.open() is not None
        store.states.set("a", "local", "k", 1)
        psycopg.Connection.execute(listening._raw, "select 1")  # type: ignore[arg-type]
        assert listening._told
        assert listening.heard()  # what came with the answer to something else
        store.states.set("a", "local", "k", 1)
        store.states.get("a", "local", "k")
        assert not listening.heard()


def test_nobody_is_told_where_nobody_listens(open_store: Opener, where: str) -> None:
    store = open_store()
    told: list[psycopg.Notify] = []
    with closing(connect(where)) as stranger:
        stranger.add_notify_handler(told.append)
        stranger.execute("listen statedb")
        store.states.set("a", "local", "k", 1)
        stranger.execute("select 1")
        assert told == []
        with closing(word(where)) as listening:
            listening.open()
            store.states.set("a", "local", "k", 2)
        stranger.execute("select 1")
        assert len(told) == 1


def test_what_was_not_heard_is_found_by_asking(open_store: Opener, where: str) -> None:
    store = open_store()
    for settings, patience in (({}, ASKED), ({"postgres_prepare": False}, ASKED_OFTEN)):
        listening = word(where, **settings)
        with closing(listening):
            assert (listening.open() is None) == bool(settings)
            assert listening.patience() == patience
            listening.look()
            assert not listening.look()
            store.states.update("a", "local", "k", lambda value: value + 1, default=0)
            assert listening.look()
            assert not listening.look()


def test_a_commit_of_what_was_begun_before_the_last_to_end_is_found_too(where: str) -> None:
    with closing(word(where)) as listening, closing(connect(where)) as slow, closing(connect(where)) as quick:
        listening.open()
        for stranger in (slow, quick):
            stranger.autocommit = False
            stranger.execute("select pg_current_xact_id()")
        quick.commit()
        assert listening.look()
        assert not listening.look()
        slow.commit()
        assert listening.look()


def test_a_lost_connection_is_opened_again(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statedb.db.listening._AGAIN", 0.01)
    with Store(where) as mine, Store(where) as other, mine.hub.attended():
        mine.hub.wait(0, HANG)
        seen = mine.hub.rings
        raw(where, "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'select pg_current%'")
        assert mine.hub.wait(seen, HANG) != seen  # it says so once it listens again
        seen = mine.hub.rings
        other.states.set("a", "local", "k", 1)
        assert mine.hub.wait(seen, HANG) != seen


def test_tasks_hear_of_other_stores_too(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as mine, AsyncStore(where) as other:
            with mine.hub.attended():
                seen = await mine.hub.wait(0, HANG)
                await other.states.set("a", "local", "k", 1)
                assert await mine.hub.wait(seen, HANG) != seen
                assert await asyncio.wait_for(mine.states.get("a", "local", "k"), HANG) == 1

    run(main())
