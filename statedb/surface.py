"""What users see: the table of rooms, the same on every shell."""

from __future__ import annotations

from statedb import operation
from statedb.held import acquire, acquire_async, hold, hold_async
from statedb.operation import Room, S_co, apart, bulk, cached, either, glance, read, write
from statedb.rooms import (
    blame,
    branches,
    cache,
    checkpoints,
    conflicts,
    feed,
    following,
    health,
    history,
    locks,
    log,
    merge,
    query,
    restore,
    retention,
    states,
    streams,
    transfer,
    undo,
    upkeep,
    value,
)


class States(Room[S_co]):
    """The values as they stand."""

    get = cached(value.get, value.ahead)
    entry = glance(states.entry)
    exists = glance(states.exists)
    keys = glance(states.keys)
    items = glance(states.items)
    get_many = read(states.get_many)
    set = write(states.set)
    update = write(states.update)
    patch = write(states.patch)
    touch = write(states.touch)
    delete = write(states.delete)
    set_many = write(states.set_many)


class History(Room[S_co]):
    """What was, version by version and commit by commit."""

    versions = read(history.versions)
    get = read(history.get)
    of = read(history.of)
    get_with_history = read(history.get_with_history)
    diff = read(history.diff)
    blame = read(blame.blame)
    bisect = read(history.bisect)
    changes = read(history.changes)
    commits = read(log.commits)
    commit = read(log.commit)
    revert = write(history.revert)


class Branches(Room[S_co]):
    """Lines of commits side by side."""

    create = write(branches.create)
    get = read(branches.get)
    list = read(branches.list)
    delete = write(branches.delete)
    diff = read(branches.diff)
    merge = write(merge.merge)


class Conflicts(Room[S_co]):
    """What waits for somebody to say what a key is to hold."""

    list = read(conflicts.list)
    get = read(conflicts.get)
    detect = read(merge.detect)
    resolve = write(conflicts.resolve)


class Checkpoints(Room[S_co]):
    """Names for points."""

    create = write(checkpoints.create)
    list = read(checkpoints.list)
    get = read(checkpoints.get)
    diff = read(checkpoints.diff)
    restore = write(checkpoints.restore)
    delete = write(checkpoints.delete)
    export = read(checkpoints.export)
    load = write(checkpoints.load)
    configure = write(checkpoints.configure)
    configuration = read(checkpoints.configuration)
    signal = write(checkpoints.signal)
    run_due = write(checkpoints.run_due)


class Locks(Room[S_co]):
    """Who may write a key, and for how long."""

    acquire = either(acquire, acquire_async)
    hold = either(hold, hold_async)
    renew = write(locks.renew)
    release = write(locks.release)
    list = read(locks.listed)
    _take = write(locks.take)
    _look = read(locks.look)
    _give_up = write(locks.give_up)


class Feed(Room[S_co]):
    """Every change, in order."""

    changes = read(feed.changes)
    locks = read(locks.changes)
    subscribe = either(feed.subscribe, feed.async_subscribe)
    unsubscribe = either(feed.unsubscribe, feed.async_unsubscribe)
    consumer = either(feed.consumer, feed.async_consumer)
    consumers = read(feed.consumers)
    _make_consumer = write(feed.make_consumer)
    _acknowledge = write(feed.acknowledge)
    _end_consumer = write(feed.end_consumer)
    _consumer_lag = read(feed.consumer_lag)
    _start = read(feed.start)
    _page = read(feed.page)


class Streams(Room[S_co]):
    """What happened, in streams of events."""

    append = write(streams.append)
    read_all = read(streams.read_all)
    list = read(streams.list)
    version = read(streams.version)
    position = read(streams.position)
    save_snapshot = write(streams.save_snapshot)
    load_snapshot = read(streams.load_snapshot)
    aggregate = either(streams.aggregate, streams.aggregate_on_loop)
    watch = either(following.watch, following.async_watch)
    subscribe = either(following.subscribe, following.async_subscribe)
    unsubscribe = either(feed.unsubscribe, feed.async_unsubscribe)
    _fold = read(streams.fold)
    _start = read(following.start)
    _page = read(following.page)
    read = operation.read(streams.read)


class Retention(Room[S_co]):
    """What time does to the store."""

    sweep = write(retention.sweep)


class Upkeeping(Room[S_co]):
    """What falls due with time: a keeper does it by itself."""

    look = read(upkeep.look)
    run = write(upkeep.run)


class Transfer(Room[S_co]):
    """The whole history, out of a store and into one."""

    head = read(transfer.head)
    export = read(transfer.export)
    load = bulk(transfer.load)
    load_versions = bulk(transfer.load_versions)


class HealthRoom(Room[S_co]):
    """Whether the store is what it says, and how much it holds."""

    check = read(health.check)
    stats = read(health.stats)


class CacheRoom(Room[S_co]):
    """What this store object keeps in memory."""

    warm = read(cache.warm)
    invalidate = read(cache.invalidate)
    clear = read(cache.clear)
    stats = read(cache.stats)
    on_cache_miss = read(cache.on_cache_miss)


class Rooms(Room[S_co]):
    """All the rooms of a shell, and what is asked of the store as a whole."""

    undo = write(undo.undo)
    restore = write(restore.restore)
    query = apart(query.query)
    watch = either(feed.watch, feed.async_watch)

    def __init__(self, shell: S_co) -> None:
        super().__init__(shell)
        self.states: States[S_co] = States(shell)
        self.history: History[S_co] = History(shell)
        self.branches: Branches[S_co] = Branches(shell)
        self.conflicts: Conflicts[S_co] = Conflicts(shell)
        self.checkpoints: Checkpoints[S_co] = Checkpoints(shell)
        self.locks: Locks[S_co] = Locks(shell)
        self.feed: Feed[S_co] = Feed(shell)
        self.streams: Streams[S_co] = Streams(shell)
        self.retention: Retention[S_co] = Retention(shell)
        self.transfer: Transfer[S_co] = Transfer(shell)
        self.upkeep: Upkeeping[S_co] = Upkeeping(shell)
        self.health: HealthRoom[S_co] = HealthRoom(shell)
        self.cache: CacheRoom[S_co] = CacheRoom(shell)
