"""The arguments that commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from statedb.cli import completion
from statedb.models import StateType

Agent = Annotated[
    str, typer.Argument(metavar="AGENT", help="Whose state.", show_default=False, autocompletion=completion.agents)
]
Tier = Annotated[StateType, typer.Argument(metavar="TYPE", help="Which tier.", show_default=False)]
Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Which key.", show_default=False, autocompletion=completion.keys)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Message = Annotated[str | None, typer.Option("-m", "--message", metavar="TEXT", help="Why; kept with the commit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
Expect = Annotated[
    int | None, typer.Option("--expect", metavar="N", min=0, help="Write only at this version; 0: only where none is.")
]
Fence = Annotated[
    int | None, typer.Option("--fence", metavar="N", min=1, help="Write under this lock, as lock acquire printed it.")
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Where retention has cut some, show what is left and name what is not.")
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="How many at most; without it, all.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0, help="End after so long without any; 0: with what there is already."
    ),
]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Only what this one wrote.")]

POINT = (
    "a revision, an ISO 8601 time, how long ago (45s, 10m, 2h, 3d, 1w, '5 minutes ago'), a day (today, "
    "'yesterday 14:00', 'last friday 18:00', 'nov 19 2026 08:00'), or a checkpoint's name; UTC unless it names a zone"
)
At = Annotated[
    str | None,
    typer.Option("--at", metavar="POINT", help=f"As it was then: {POINT}.", autocompletion=completion.checkpoints),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="POINT", help="Only what came after this point.", autocompletion=completion.checkpoints
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="POINT",
        help=f"Only what came up to this point. A point is {POINT}.",
        autocompletion=completion.checkpoints,
    ),
]


class Rule(StrEnum):
    """What may be done where two changed one thing, by the names the library has for it."""

    RAISE = "raise"
    MERGE = "merge"
    OURS = "ours"
    THEIRS = "theirs"
    MANUAL = "manual"
    LOCAL_WINS = "local_wins"
    REMOTE_WINS = "remote_wins"
    FIRST_WRITER_WINS = "first_writer_wins"
    LAST_WRITER_WINS = "last_writer_wins"
