"""The commands there are, in the order of the help."""

from __future__ import annotations

from statedb.cli import live, travel
from statedb.cli.command import PAST, READ, STORE, TRANSFER, WRITE, Command

NOUNS = (*travel.NOUNS, *live.NOUNS)
COMMANDS = (
    Command(
        "set",
        "states.set_",
        WRITE,
        (
            """statedb -f app.db set agent-1 persistent prefs '{"theme":"dark"}' -m 'first run'""",
            "statedb -f app.db set agent-1 session call/1 - --ttl 3600",
        ),
        cls="states.Numbers",
    ),
    Command(
        "delete",
        "states.delete",
        WRITE,
        (
            "statedb -f app.db delete agent-1 persistent prefs",
            "statedb -f app.db delete agent-1 persistent prefs --fence 17",
        ),
    ),
    Command(
        "undo", "undo.undo", WRITE, ("statedb -f app.db undo 17", "statedb -f app.db undo 17 18 -m 'that was wrong'")
    ),
    Command("revert", "undo.revert", WRITE, ("statedb -f app.db revert agent-1 persistent prefs 3",)),
    Command(
        "get",
        "states.get",
        READ,
        (
            "statedb -f app.db get agent-1 persistent prefs",
            "statedb -f app.db get agent-1 persistent prefs --at 'yesterday 14:00'",
        ),
        'the value; opaque bytes as {"bytes": base64}',
    ),
    Command(
        "keys",
        "states.keys",
        READ,
        ("statedb -f app.db keys agent-1 persistent 'prefs/*'",),
        "an array of keys",
        "terminal.pager.Paged",
    ),
    Command(
        "query",
        "query.query",
        READ,
        (
            """statedb -f app.db query "select value ->> '$.theme' from states where agent_id = ?" agent-1""",
            "statedb -f app.db query --csv 'select actor, count(*) from commits group by actor' --at yesterday",
            "statedb -f app.db query --json-params 'select * from history where version > ?' 3",
        ),
        "an array of objects, a member for each column; an infinity, which JSON lacks, is null",
        "query.Asking",
    ),
    Command(
        "history",
        "history.history",
        PAST,
        (
            "statedb -f app.db history agent-1 persistent prefs --limit 5",
            "statedb -f app.db history agent-1 persistent 'prefs/*' --by ui --since yesterday",
        ),
        "an array of versions, newest first",
        "terminal.pager.Paged",
    ),
    Command(
        "show",
        "history.show",
        PAST,
        (
            "statedb -f app.db show agent-1 persistent prefs --version 3",
            "statedb -f app.db show agent-1 persistent prefs --at before-deploy",
            "statedb -f app.db show 17",
        ),
        "the entry, or the commit with its changes and their values",
        "terminal.pager.Paged",
    ),
    Command(
        "at",
        "history.at",
        PAST,
        (
            "statedb -f app.db at 2h agent-1 persistent 'prefs/*'",
            "statedb -f app.db at 'last friday 18:00' agent-1 persistent prefs",
        ),
        "the value of one key; of many, an array of state_type, key and value",
    ),
    Command(
        "diff",
        "diff.diff",
        PAST,
        (
            "statedb -f app.db diff agent-1 persistent prefs",
            "statedb -f app.db diff agent-1 persistent prefs 2 5 --patch",
            "statedb -f app.db diff agent-1 persistent prefs --from 'yesterday 14:00' --to 1h",
            "statedb -f app.db diff --from 2h --agent agent-1",
            "statedb -f app.db -b try-plan-b diff --from before-deploy --to 1h",
        ),
        'an object of "added", "modified" (each with "old" and "new") and "removed" by JSON Pointer; without a key, an '
        "array of the keys that differ, with both values",
        "terminal.pager.Paged",
    ),
    Command(
        "blame",
        "blame.blame",
        PAST,
        ("statedb -f app.db blame agent-1 persistent prefs",),
        "an array of leaves, each with its pointer, value and version",
        "terminal.pager.Paged",
    ),
    Command(
        "bisect",
        "bisect.bisect",
        PAST,
        (
            """statedb -f app.db bisect agent-1 persistent prefs '/theme == "dark"'""",
            "statedb -f app.db bisect agent-1 persistent prefs '/size > 10'",
            "statedb -f app.db bisect agent-1 persistent prefs --run grep -q dark",
        ),
        "the version",
        "bisect.Running",
    ),
    Command(
        "log",
        "log.log",
        PAST,
        (
            "statedb -f app.db log --agent agent-1 --limit 5",
            "statedb -f app.db log --graph --since 'last friday' --key 'prefs/*'",
            "statedb -f app.db log --graph --oneline",
            "statedb -f app.db log -p --by ui --until 2026-11-20T09:00Z",
        ),
        "an array of commits, newest first, with --graph of every branch; changes come with values where --patch is "
        "given",
        "terminal.pager.Paged",
    ),
    *travel.COMMANDS,
    *live.COMMANDS,
    Command(
        "import",
        "transfer.import_",
        TRANSFER,
        (
            "statedb -f copy.db import history.jsonl.zst",
            "statedb -f app.db import prefs.jsonl --agent a --type persistent --key prefs",
            "statedb -f app.db import --format git --repo . --path app.json --agent a --type persistent",
            "statedb -f app.db import --format dir folder --agent a --type persistent -m 'by hand'",
        ),
    ),
    Command(
        "export",
        "transfer.export",
        TRANSFER,
        (
            "statedb -f app.db export --output history.jsonl.zst",
            "statedb -f app.db export --format dir --output folder --agent a --type persistent --at yesterday",
        ),
    ),
    Command("init", "schema.init", STORE, ("statedb -f app.db init",)),
    Command(
        "stats",
        "stats.stats",
        STORE,
        ("statedb -f app.db stats",),
        "an object; keys and versions are counted by tier",
    ),
    Command("migrate", "schema.migrate", STORE, ("statedb -f app.db migrate",)),
    Command("demo", "demo.demo", STORE, ("statedb demo", "statedb demo --keep story")),
)
