"""The commands for what happens now, among many: locks, watches, streams, and the keeper."""

from __future__ import annotations

from statedb.cli.command import LIVE, Command, Noun

NOUNS = (
    Noun(
        "lock",
        LIVE,
        "Lock keys: run a command under a lock, or take locks, renew them, give them back, list them.",
        (
            "statedb -f app.db lock run agent-1 plan -- ./rebuild.sh",
            "statedb -f app.db watch --locks",
        ),
    ),
    Noun(
        "stream",
        LIVE,
        "Keep what happened as events: append to streams, read them, follow them, keep what was made of them.",
        (
            """statedb -f app.db stream append order-7 placed '{"item":"tea"}'""",
            "statedb -f app.db stream read order-7",
        ),
    ),
    Noun(
        "snapshot",
        LIVE,
        "Keep what was made of a stream's events up to a version, so that it need not be made again.",
        ("statedb -f app.db stream snapshot show order-7",),
    ),
    Noun(
        "consumer",
        LIVE,
        "Look after those who read the feed under a name, for whom the past is kept: list them, end them.",
        ("statedb -f app.db consumer list",),
    ),
)
COMMANDS = (
    Command(
        "watch",
        "watch.watch",
        LIVE,
        (
            "statedb -f app.db watch",
            "statedb -f app.db watch agent-1 'plan/*' --kind create --kind delete",
            "statedb -f app.db watch --since 2h --json",
            "statedb -f app.db watch --locks --since 0 --timeout 0",
        ),
        "a line for each change, or with --locks for each that a lock went through",
    ),
    Command(
        "lock run",
        "held.run",
        LIVE,
        (
            "statedb -f app.db lock run agent-1 plan -- ./rebuild.sh --fast",
            "statedb -f app.db lock run agent-1 plan --type write --ttl 10 --wait 60 -- sh -c "
            "'statedb set agent-1 shared plan 1 --fence $STATEDB_FENCE'",
        ),
    ),
    Command(
        "lock acquire",
        "locks.acquire",
        LIVE,
        (
            "statedb -f app.db lock acquire agent-1 plan --ttl 60",
            "statedb -f app.db lock acquire agent-1 plan --type read --wait 10 --owner nightly",
        ),
        "the lock",
    ),
    Command(
        "lock renew",
        "locks.renew",
        LIVE,
        ("statedb -f app.db lock renew 17", "statedb -f app.db lock renew 17 --ttl 120"),
        "the lock",
    ),
    Command("lock release", "locks.release", LIVE, ("statedb -f app.db lock release 17",)),
    Command(
        "lock list",
        "locks.list_",
        LIVE,
        ("statedb -f app.db lock list", "statedb -f app.db lock list agent-1 --waiting"),
        "an array of locks, of those who wait with a fence that is null",
        "terminal.pager.Paged",
    ),
    Command(
        "stream append",
        "streams.append",
        LIVE,
        (
            """statedb -f app.db stream append order-7 placed '{"item":"tea"}' --expect 0 --agent agent-1""",
            "statedb -f app.db stream append order-7 paid - -m 'by card'",
        ),
        "the event",
        "states.Numbers",
    ),
    Command(
        "stream read",
        "streams.read",
        LIVE,
        (
            "statedb -f app.db stream read order-7 --from 3",
            "statedb -f app.db stream read order-7 --backward --limit 1",
            "statedb -f app.db stream read --type paid --type sent",
        ),
        'an array of events; opaque bytes as "bytes": base64 in place of the data',
        "terminal.pager.Paged",
    ),
    Command(
        "stream list",
        "streams.list_",
        LIVE,
        ("statedb -f app.db stream list", "statedb -f app.db stream list 'order-*' --agent agent-1"),
        "an array of streams",
        "terminal.pager.Paged",
    ),
    Command(
        "stream watch",
        "streams.watch",
        LIVE,
        ("statedb -f app.db stream watch", "statedb -f app.db stream watch order-7 --from 1 --json"),
        "a line for each event",
    ),
    Command(
        "stream snapshot show",
        "streams.show_snapshot",
        LIVE,
        (
            "statedb -f app.db stream snapshot show order-7",
            "statedb -f app.db stream snapshot show order-7 --version 100",
        ),
        "the snapshot",
    ),
    Command(
        "stream snapshot save",
        "streams.save_snapshot",
        LIVE,
        ("""statedb -f app.db stream snapshot save order-7 3 '{"paid":12}'""",),
        "the snapshot",
        "states.Numbers",
    ),
    Command(
        "consumer list",
        "consumers.list_",
        LIVE,
        ("statedb -f app.db consumer list",),
        "an array of consumers",
        "terminal.pager.Paged",
    ),
    Command("consumer delete", "consumers.delete", LIVE, ("statedb -f app.db consumer delete indexer",)),
    Command(
        "keeper",
        "keeper.keeper",
        LIVE,
        ("statedb -f app.db keeper", "statedb -f app.db keeper --once"),
    ),
)
