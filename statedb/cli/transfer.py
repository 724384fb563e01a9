"""import, export: what goes into a store and out of one, in which format."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, Message
from statedb.cli.exits import Usage
from statedb.cli.formats import folder, git, jsonl
from statedb.models import StateType


class Format(StrEnum):
    """What --format may say."""

    JSONL = "jsonl"
    GIT = "git"
    DIR = "dir"


class Takes(NamedTuple):
    """What a format needs to be told, and what else it takes."""

    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


IMPORTS = {
    Format.JSONL: Takes(("FILE",), ("--agent", "--type", "--key")),
    Format.GIT: Takes(("--repo", "--path", "--agent", "--type"), ("--branch", "--key")),
    Format.DIR: Takes(("FILE", "--agent", "--type"), ("--message", "--prune")),
}
EXPORTS = {
    Format.JSONL: Takes((), ("--output",)),
    Format.DIR: Takes(("--output", "--agent", "--type"), ("--pattern", "--at", "--overwrite")),
}

File = Annotated[
    str | None,
    typer.Argument(metavar="FILE", help="JSON lines, zstd or not, - for standard input; or a folder of JSON files."),
]
Form = Annotated[Format, typer.Option("--format", help="Lines, a file's history in git, or a folder of files.")]
Agent = Annotated[
    str | None, typer.Option("--agent", metavar="AGENT", help="Whose keys.", autocompletion=completion.agents)
]
Tier = Annotated[StateType | None, typer.Option("--type", help="Of which tier.")]


def import_(
    context: typer.Context,
    file: File = None,
    form: Form = Format.JSONL,
    agent: Agent = None,
    state_type: Tier = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="Which key's versions these are.")] = None,
    repo: Annotated[str | None, typer.Option("--repo", metavar="DIR", help="git: the repository.")] = None,
    path: Annotated[str | None, typer.Option("--path", metavar="FILE", help="git: the file, seen from DIR.")] = None,
    branch: Annotated[
        str | None, typer.Option("--branch", metavar="REF", help="git: as it was there, not HEAD.")
    ] = None,
    message: Message = None,
    prune: Annotated[bool, typer.Option("--prune", help="dir: delete the keys that have no file.")] = False,
) -> None:
    """Import a history made by export; with --agent, --type and --key, the versions of one key.

    FILE holds JSON lines, compressed with zstd or not. A version is a line {"at": seconds since 1970, "value": …}, and
    maybe "by" and "message"; "deleted": true stands for no value. With --format git it is a commit that changed a file,
    whose path is the key. With --format dir a folder's KEY.json (JSON) and KEY.bin (bytes) are written in one commit,
    those that changed.
    """
    given = {
        "FILE": file, "--agent": agent, "--type": state_type, "--key": key, "--repo": repo, "--path": path,
        "--branch": branch, "--message": message, "--prune": prune or None,
    }  # fmt: skip
    _check(IMPORTS, "import", form, given)
    if form is Format.GIT and repo is not None and path is not None and agent is not None and state_type is not None:
        git.import_file(context, repo, path, branch, agent, state_type, path if key is None else key)
    elif form is Format.DIR and file is not None and agent is not None and state_type is not None:
        folder.import_folder(context, file, agent, state_type, message=message, prune=prune)
    elif file is not None and agent is not None and state_type is not None and key is not None:
        jsonl.import_versions(context, file, agent, state_type, key)
    elif file is not None and agent is None and state_type is None and key is None:
        jsonl.import_history(context, file)
    else:
        raise Usage("--agent, --type and --key go together: they name the key whose versions FILE holds")


def export(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write there; .zst at the end compresses. dir: a folder."),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="The whole history as lines, or a folder of files.")
    ] = Format.JSONL,
    agent: Agent = None,
    state_type: Tier = None,
    pattern: Annotated[str | None, typer.Option("--pattern", metavar="GLOB", help="dir: only these keys.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="POINT", help=f"dir: as it was then: {POINT}.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="dir: replace files that are there.")] = False,
) -> None:
    """Write the whole history as JSON lines, which import takes back to the same history.

    A file appears under its name once it is whole, and ends with the newest commit there was at the start. With
    --format dir the values of one agent and tier are written instead, as KEY.json (JSON) and KEY.bin (bytes).
    """
    given = {
        "--output": to, "--agent": agent, "--type": state_type, "--pattern": pattern, "--at": at,
        "--overwrite": overwrite or None,
    }  # fmt: skip
    _check(EXPORTS, "export", form, given)
    if form is Format.DIR and to is not None and agent is not None and state_type is not None:
        folder.export_folder(context, to, agent, state_type, pattern=pattern or "*", at=at, overwrite=overwrite)
    else:
        jsonl.export_history(context, to)


def _check(table: dict[Format, Takes], command: str, form: Format, given: dict[str, Any]) -> None:
    """Refuse a format the command does not have, what it does not take, and what it lacks."""
    if form not in table:
        raise Usage(f"{command} does not write {form}; --format is {' or '.join(table)}")
    takes = table[form]
    for name, value in given.items():
        if value is not None and name not in takes.needs + takes.may:
            where = [str(each) for each, other in table.items() if name in other.needs + other.may]
            raise Usage(f"{command} --format {form} takes no {name}; that is for --format {' or '.join(where)}")
    lacking = [name for name in takes.needs if given[name] is None]
    if lacking:
        raise Usage(f"{command} --format {form} needs {', '.join(lacking)}")
