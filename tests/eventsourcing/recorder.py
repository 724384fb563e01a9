"""The eventsourcing package's recorders over `store.streams`: what its own test cases ask of one is asked of ours.

An aggregate is a stream, a notification id a position. The package counts an aggregate's events from wherever the first
one begins (0 or 1), a stream from 1: so an event's id is the number it has there, and the first one's tells the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, Notification, ProcessRecorder, StoredEvent, Subscription, Tracking

from statedb import Event, Joined, RecordedEvent, Store

TRACKING = ("eventsourcing", "persistent")


class StreamsRecorder(ProcessRecorder):
    """Records events in the streams of a store, and how far upstream has been followed in its states."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # ---- events of aggregates

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return self.store.run(_insert, stored_events, kwargs.get("tracking"))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        return self.store.run(_select, originator_id, gt, lte, desc, limit)

    # ---- notifications of all of them

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = 1 if start is None else start + (not inclusive_of_start)
        found = self.store.streams.read_all(first, limit, types=topics or None)
        return [_notification(each) for each in found if stop is None or each.position <= stop]

    def max_notification_id(self) -> int | None:
        return self.store.streams.position() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[StreamsRecorder]:
        return Following(self, gt, topics)

    # ---- how far upstream has been followed

    def insert_tracking(self, tracking: Tracking) -> None:
        self.store.run(_track, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        found: int | None = self.store.states.get(*TRACKING, application_name)
        return found


class Following(Subscription[StreamsRecorder]):
    """Notifications as they come, of those that were recorded by whomever."""

    def __init__(self, recorder: StreamsRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._watch = recorder.store.streams.watch(since=gt or 0, types=topics or None)

    def __next__(self) -> Notification:
        return _notification(next(self._watch))

    def stop(self) -> None:
        super().stop()
        self._watch.close()


class StreamsAggregateRecorder(StreamsRecorder):
    """Of one that only records the events of aggregates, no notification ids are expected."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        super().insert_events(stored_events, **kwargs)
        return None


def _insert(tx: Joined, stored_events: Sequence[StoredEvent], tracking: Tracking | None) -> Sequence[int]:
    made: list[RecordedEvent] = []
    for originator_id, group in groupby(stored_events, lambda each: each.originator_id):
        events, stream = list(group), str(originator_id)
        newest = tx.streams.read(stream, limit=1, backward=True)
        before = int(newest[0].id) if newest else events[0].originator_version - 1
        if [each.originator_version for each in events] != list(range(before + 1, before + 1 + len(events))):
            raise IntegrityError(f"the events of {stream} do not follow number {before}")
        given = [Event(each.topic, each.state, id=str(each.originator_version)) for each in events]
        made += tx.streams.append(stream, given, newest[0].version if newest else 0)
    if tracking is not None:
        _track(tx, tracking)
    return [each.position for each in made]


def _select(
    tx: Joined, originator_id: UUID | str, gt: int | None, lte: int | None, desc: bool, limit: int | None
) -> list[StoredEvent]:
    first = tx.streams.read(str(originator_id), limit=1)
    if not first:
        return []
    ahead = int(first[0].id) - 1
    low = 1 if gt is None else max(gt - ahead + 1, 1)
    high = tx.streams.version(str(originator_id)) if lte is None else max(lte - ahead, 0)
    most = high - low + 1 if limit is None else min(limit, high - low + 1)
    if most < 1:
        return []
    found = tx.streams.read(str(originator_id), high if desc else low, most, backward=desc)
    return [StoredEvent(originator_id, int(each.id), each.type, each.data) for each in found]


def _track(tx: Joined, tracking: Tracking) -> None:
    followed = tx.states.get(*TRACKING, tracking.application_name)
    if followed is not None and followed >= tracking.notification_id:
        raise IntegrityError(f"{tracking.application_name} has been followed up to {followed} already")
    tx.states.set(*TRACKING, tracking.application_name, tracking.notification_id)


def _notification(event: RecordedEvent) -> Notification:
    return Notification(UUID(event.stream_id), int(event.id), event.type, event.data, id=event.position)
