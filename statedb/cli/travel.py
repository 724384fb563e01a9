"""The commands for time travel, with the nouns that several of them begin with."""

from __future__ import annotations

from statedb.cli.command import TRAVEL, Command, Noun

NOUNS = (
    Noun(
        "checkpoint",
        TRAVEL,
        "Name points in time: make checkpoints, by hand or by themselves, see what has changed since, end them.",
        ("statedb -f app.db checkpoint create before-deploy", "statedb -f app.db restore before-deploy"),
    ),
    Noun(
        "branch",
        TRAVEL,
        "Work on a line of its own: make branches, list them, compare them, end them.",
        ("statedb -f app.db branch create try-plan-b", "statedb -f app.db -b try-plan-b log"),
    ),
    Noun(
        "conflicts",
        TRAVEL,
        "What a merge or a write has left open: list conflicts, look at them, settle them.",
        ("statedb -f app.db conflicts list", "statedb -f app.db conflicts resolve 1 --strategy theirs"),
    ),
)
COMMANDS = (
    Command(
        "restore",
        "restore.restore",
        TRAVEL,
        (
            "statedb -f app.db restore before-deploy --dry-run",
            "statedb -f app.db restore 'yesterday 14:00' --agent agent-1 --key 'prefs/*' --yes",
        ),
    ),
    Command(
        "checkpoint create",
        "checkpoints.create",
        TRAVEL,
        (
            "statedb -f app.db checkpoint create before-deploy -m 'release 4'",
            "statedb -f app.db checkpoint create monday --agent agent-1 --at 'monday 09:00' --type milestone",
        ),
    ),
    Command(
        "checkpoint list",
        "checkpoints.list_",
        TRAVEL,
        ("statedb -f app.db checkpoint list --agent agent-1",),
        "an array of checkpoints, newest first",
        "terminal.pager.Paged",
    ),
    Command(
        "checkpoint show",
        "checkpoints.show",
        TRAVEL,
        ("statedb -f app.db checkpoint show before-deploy",),
        "the checkpoint",
    ),
    Command(
        "checkpoint diff",
        "checkpoints.diff",
        TRAVEL,
        (
            "statedb -f app.db checkpoint diff before-deploy",
            "statedb -f app.db checkpoint diff monday --agent agent-1 --to 1h",
        ),
        "an array of the keys that differ, with both values",
        "terminal.pager.Paged",
    ),
    Command(
        "checkpoint delete",
        "checkpoints.delete",
        TRAVEL,
        ("statedb -f app.db checkpoint delete before-deploy",),
    ),
    Command(
        "checkpoint configure",
        "automatic.configure",
        TRAVEL,
        (
            "statedb -f app.db checkpoint configure agent-1 --every 30m --changes 100 --keep 10",
            "statedb -f app.db checkpoint configure agent-1 --at-conversation-end --key 'plan/*'",
            "statedb -f app.db checkpoint configure agent-1",
            "statedb -f app.db checkpoint configure agent-1 --off",
        ),
        "the policy, null where there is none",
    ),
    Command(
        "checkpoint signal",
        "automatic.signal",
        TRAVEL,
        ("statedb -f app.db checkpoint signal agent-1 conversation_end",),
        "the checkpoint, null where none is made",
    ),
    Command(
        "checkpoint run-due",
        "automatic.run_due",
        TRAVEL,
        ("statedb -f app.db checkpoint run-due",),
        "an array of checkpoints",
    ),
    Command(
        "checkpoint export",
        "snapshots.export",
        TRAVEL,
        ("statedb -f app.db checkpoint export before-deploy --agent agent-1",),
    ),
    Command(
        "checkpoint load",
        "snapshots.load",
        TRAVEL,
        (
            "statedb -f app.db checkpoint load snapshot.json --dry-run",
            "statedb -f copy.db checkpoint load - --agent agent-2 --yes",
        ),
        "the revision, null where there is none, and an array of the changes",
    ),
    Command(
        "branch create",
        "branches.create",
        TRAVEL,
        (
            "statedb -f app.db branch create try-plan-b",
            "statedb -f app.db branch create what-if --at 'last friday 18:00'",
        ),
    ),
    Command(
        "branch list",
        "branches.list_",
        TRAVEL,
        ("statedb -f app.db branch list",),
        "an array of branches, main first",
        "terminal.pager.Paged",
    ),
    Command(
        "branch diff",
        "branches.diff",
        TRAVEL,
        ("statedb -f app.db branch diff try-plan-b", "statedb -f app.db branch diff try-plan-b --at 2h"),
        "an array of the keys that differ, with both values",
        "terminal.pager.Paged",
    ),
    Command("branch delete", "branches.delete", TRAVEL, ("statedb -f app.db branch delete try-plan-b",)),
    Command(
        "merge",
        "merge.merge",
        TRAVEL,
        (
            "statedb -f app.db merge try-plan-b --preview",
            "statedb -f app.db merge try-plan-b --strategy manual -m 'plan b it is'",
            "statedb -f app.db merge main --into try-plan-b -s 'config/*=theirs' -s ours",
        ),
        "the revision, null where nothing was committed, and arrays of changes, conflicts and their resolutions",
        "terminal.pager.Paged",
    ),
    Command(
        "conflicts list",
        "conflicts.list_",
        TRAVEL,
        ("statedb -f app.db conflicts list", "statedb -f app.db -b try-plan-b conflicts list --all"),
        "an array of conflicts, oldest first; a side without a value is left out",
        "terminal.pager.Paged",
    ),
    Command(
        "conflicts show",
        "conflicts.show",
        TRAVEL,
        ("statedb -f app.db conflicts show 1",),
        "the conflict; a side without a value is left out",
        "terminal.pager.Paged",
    ),
    Command(
        "conflicts resolve",
        "conflicts.resolve",
        TRAVEL,
        (
            "statedb -f app.db conflicts resolve 1 --strategy theirs",
            """statedb -f app.db conflicts resolve 1 --value '{"theme":"dark"}' -m 'as agreed'""",
        ),
        "how it was settled",
        "states.Numbers",
    ),
)
