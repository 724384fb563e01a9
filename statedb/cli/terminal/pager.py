"""A pager for long output: on a terminal only, and only where the output is taller than it."""

from __future__ import annotations

import os
import re
import shutil
import signal
from typing import Any

from typer.core import TyperCommand

from statedb.cli.terminal import output

VARIABLES = ("STATEDB_PAGER", "PAGER")
"""Where a pager is named, the first that is set; empty or cat means none."""

_ESCAPES = re.compile(rb"\x1b\[[0-9;]*m")
_NOT_RUN = (126, 127)
"""How a shell ends that could not run a command."""


class Paged(TyperCommand):
    """A command whose output may be long."""

    def invoke(self, ctx: Any) -> Any:
        if not (ctx.obj.pages and output.is_terminal()):
            return super().invoke(ctx)
        with output.held() as held:
            super().invoke(ctx)
        show(held.getvalue())


def show(data: bytes) -> None:
    """Show output in the pager where it is taller than the terminal; there is one and it can be run; else print it."""
    command = pager() if _is_tall(data) else None
    if command is None or not _paged(command, data):
        output.raw(data)


def pager() -> str | None:
    """Return the command of the pager, None for none."""
    for name in VARIABLES:
        if (command := os.environ.get(name)) is not None:
            return None if command.strip() in ("", "cat") else command
    return "less -FRX" if shutil.which("less") else None


def _is_tall(data: bytes) -> bool:
    """Tell whether the terminal cannot show all lines above its next prompt."""
    columns, height = shutil.get_terminal_size()
    rows = 0
    for line in data.splitlines():
        rows += max(1, -(-len(_ESCAPES.sub(b"", line).decode(errors="replace")) // columns))
        if rows >= height:
            return True
    return False


def _paged(command: str, data: bytes) -> bool:
    """Run the pager until it is quit, which may be before it has read everything. False where it cannot be run."""
    import subprocess

    # less would show colours as what they are written with; a setting of the user's own goes first, as with git.
    env = {"LESS": "FRX", **os.environ}
    # An interrupt is the pager's business; it goes on, or it ends. How it ends is no matter of ours: the shell around
    # a pager that went on tells of an interrupt all the same. Not SIG_IGN, which the pager would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=env) as process:
            process.communicate(data)
    finally:
        signal.signal(signal.SIGINT, before)
    return process.returncode not in _NOT_RUN
