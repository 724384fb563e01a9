"""How a command ends: its exit code, and the one line that says why.

    0    done
    1    not found, or refused: any StateDBError, and files that cannot be read or written
    2    wrong usage
    130  interrupted        141  nobody reads the output any more

What is none of these is a defect of statedb and keeps its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import typer

from statedb.cli.terminal.texts import one_line
from statedb.errors import StateDBError

INTERRUPTED = 128 + 2
UNREAD = 128 + 13

_BEFORE = ("-f", "--file", "--actor", "-b", "--branch", "--no-pager")
"""Options of the program, not of a command."""


class Refused(Exception):
    """What was asked for is not there, or is not to be done."""


class Usage(typer.TyperException):
    """The command was given in a form it does not have."""

    exit_code = 2


def run(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; an error is said in one line."""
    try:
        command()
        _flush()
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        return _say(_usage(error), error.exit_code)
    except (Refused, StateDBError) as error:
        return _say(str(error), 1)
    except BrokenPipeError:
        _let_go()
        return UNREAD
    except OSError as error:
        _let_go()
        where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        return _say(f"{error.strerror or error}{where}", 1)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def note(message: str) -> None:
    """Say something in one line beside the output: an error, or what else a person should know."""
    if sys.stderr is not None:
        print(f"statedb: {one_line(message)}", file=sys.stderr)


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong with the usage, and where to read the right one."""
    context = getattr(error, "ctx", None)
    said = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    if context is None:
        return said
    if context.parent is not None and getattr(error, "option_name", "") in _BEFORE:
        said += "; it stands before the command"
    return f"{said}{'' if said.endswith('?') else '.'} Try '{context.command_path} --help'"


def _say(message: str, code: int) -> int:
    note(message)
    return code


def _flush() -> None:
    """Write out what is buffered while an error can still be told: at the interpreter's exit it could not."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _let_go() -> None:
    """Send what is left in the buffer nowhere, or the interpreter would try to write it again as it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (AttributeError, OSError, ValueError):
        pass  # no standard output, or not a real one
