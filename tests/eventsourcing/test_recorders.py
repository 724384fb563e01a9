"""The eventsourcing package's public test cases of recorders, over `store.streams`, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import TestCase

import pytest

from statedb import Store
from tests.eventsourcing.cases import cases
from tests.eventsourcing.recorder import StreamsAggregateRecorder, StreamsRecorder
from tests.places import Places


class Recording(TestCase):
    """Where recorders live; every store is checked once the test is over."""

    sort = "file"

    @pytest.fixture(autouse=True)
    def opened(self, tmp_path: Path) -> Iterator[None]:
        with Places(self.sort, tmp_path) as places:
            self.store = Store(places.another(), durability="normal")
            try:
                yield
                assert self.store.health.check().problems == ()
            finally:
                self.store.close()

    def create_recorder(self) -> StreamsRecorder:
        return StreamsRecorder(self.store)


class OnServer(Recording):
    sort = "postgres"


class TestAggregatesInFile(Recording, cases.AggregateRecorderTestCase):
    def create_recorder(self) -> StreamsRecorder:
        return StreamsAggregateRecorder(self.store)


class TestAggregatesOnServer(TestAggregatesInFile, OnServer):
    pass


class Application(cases.ApplicationRecorderTestCase[StreamsRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationInFile(Recording, Application):
    pass


class TestApplicationOnServer(OnServer, Application):
    pass


class TestProcessInFile(Recording, cases.ProcessRecorderTestCase):
    pass


class TestProcessOnServer(OnServer, cases.ProcessRecorderTestCase):
    pass


class TestTracking(Recording, cases.TrackingRecorderTestCase):
    pass


class TestNotificationsInFile(Recording, cases.NonInterleavingNotificationIDsBaseCase):
    pass


class TestNotificationsOnServer(OnServer, cases.NonInterleavingNotificationIDsBaseCase):
    pass
