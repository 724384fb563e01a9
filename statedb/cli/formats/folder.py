"""A folder of files, a key each: KEY.json for JSON, KEY.bin for bytes; for the names see `filenames`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from statedb.cli.exits import Refused, Usage, note
from statedb.cli.formats.files import LONGEST, parsed, whole
from statedb.cli.points import point
from statedb.cli.stores import opened, place_of
from statedb.cli.terminal import output
from statedb.cli.terminal.progress import progress
from statedb.errors import InvalidKey, InvalidValue
from statedb.models import MISSING, StateType

if TYPE_CHECKING:
    from statedb.transaction import Joined

_JSON, _BYTES = ".json", ".bin"
_NAMED = 5
"""How many of the files left out are named."""


class Found(NamedTuple):
    """What lies in a folder: the file of each key, and what is no file of a key."""

    files: dict[str, str]
    others: list[str]


class Done(NamedTuple):
    """What an import did, in keys."""

    written: int
    deleted: int


# ---- in


def import_folder(
    context: typer.Context, folder: str, agent: str, state_type: StateType, *, message: str | None, prune: bool
) -> None:
    """Write what the files say in one commit, all or nothing; what the store says already makes no version."""
    found = _scanned(folder)
    values = _read(folder, found.files, agent, state_type)
    with opened(context, create=True) as store:
        done: Done = store.run(_write, found.files, values, (agent, state_type), message, prune)
    pruned = f", {done.deleted:,} deleted" if prune else ""
    output.line(f"imported {len(values):,} keys from {folder}: {done.written:,} written{pruned}")
    if found.others:
        more = ", …" if len(found.others) > _NAMED else ""
        note(f"skipped {len(found.others):,} that are no key's file: {', '.join(found.others[:_NAMED])}{more}")


def _scanned(root: str) -> Found:
    found = Found({}, [])
    for path, ordinary in _listed(root):
        try:
            key = _key(path) if ordinary else None
        except ValueError:
            raise _unread(path, "its name is the code of no text") from None
        if key is None:
            found.others.append(path)
        elif key in found.files:
            raise _unread(path, f"it holds the same key as {found.files[key]}")
        else:
            found.files[key] = path
    return found


def _listed(root: str) -> Iterator[tuple[str, bool]]:
    """Return the path of every file below a folder, and whether it is an ordinary one inside of it.

    A link to a file inside counts as a file; a link to a folder is not followed, which also ends what goes in circles.
    """
    inside = os.path.join(os.path.realpath(root), "")
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(root, folder) if folder else root) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                else:
                    leaves = entry.is_symlink() and not os.path.realpath(entry.path).startswith(inside)
                    yield path, entry.is_file() and not leaves


def _key(path: str) -> str | None:
    """Return the key whose file has a path, None for what is no key's. Raises ValueError."""
    from statedb.cli.formats.filenames import ENDINGS, key_of

    ending = next((each for each in ENDINGS if path.endswith(each)), None)
    return None if ending is None else key_of(path.removesuffix(ending))


def _read(root: str, files: Mapping[str, str], agent: str, state_type: StateType) -> dict[str, Any]:
    from statedb.values.names import address

    address(agent, state_type, "any")  # what is wrong with these is no file's fault
    values: dict[str, Any] = {}
    with progress("reading", len(files)) as advance:
        for key, path in files.items():
            try:
                address(agent, state_type, key)
                values[key] = _value(root, path)
            except InvalidKey as error:
                raise _unread(path, str(error)) from None
            except ValueError as error:
                raise _unread(path, f"it is not JSON ({error})") from None
            advance(len(values))
    return values


def _value(root: str, path: str) -> Any:
    with open(os.path.join(root, path), "rb") as file:
        text = file.read(LONGEST + 1)
    if len(text) > LONGEST:
        raise _unread(path, f"it is longer than {LONGEST:,} bytes")
    return text if path.endswith(_BYTES) else parsed(text)


def _write(
    tx: Joined,
    files: Mapping[str, str],
    values: Mapping[str, Any],
    where: tuple[str, StateType],
    message: str | None,
    prune: bool,
) -> Done:
    from statedb.values.same import same

    written = 0
    for key, value in values.items():
        # Not left to the store, for which the same value without its metadata is another, and restarts a ttl.
        if not same(tx.states.get(*where, key, MISSING), value):
            try:
                tx.states.set(*where, key, value, message=message)
            except InvalidValue as error:
                raise _unread(files[key], str(error)) from None
            written += 1
    surplus = [key for key in tx.states.keys(*where) if key not in values] if prune else []
    for key in surplus:
        tx.states.delete(*where, key, message=message)
    return Done(written, len(surplus))


def _unread(path: str, why: str) -> Refused:
    return Refused(f"{path}: {why}; nothing was imported")


# ---- out


def export_folder(
    context: typer.Context,
    to: str,
    agent: str,
    state_type: StateType,
    *,
    pattern: str,
    at: str | None,
    overwrite: bool,
) -> None:
    """Write the values of one agent and tier, all of one moment, each to a file that appears whole."""
    from statedb.cli.formats.filenames import names

    if to == "-":
        raise Usage("--output names the folder to write; standard output is none")
    asked = timedelta(0) if at is None else point(at)
    with opened(context) as store:
        past = store.at(asked)
        found = names(past.states.keys(agent, state_type, pattern))
        os.makedirs(to, exist_ok=True)
        if overwrite:
            taken = place_of(context).files
            _check_standing(to, found, lambda key: past.states.get(agent, state_type, key), taken)
        elif os.listdir(to):
            raise Refused(f"{to} is not empty; --overwrite replaces the files of the keys written, and no others")
        _make_folders(to, found)
        with progress("exporting", len(found)) as advance:
            for number, (key, name) in enumerate(found.items(), 1):
                _put(os.path.join(to, name), past.states.get(agent, state_type, key, MISSING))
                advance(number)
    output.line(f"exported {len(found):,} keys to {to}")


def _check_standing(root: str, found: Mapping[str, str], value: Callable[[str], Any], store: frozenset[str]) -> None:
    """Refuse a folder whose files would not be replaced but read back beside the new ones; and one with the store."""
    for path, _ in _listed(root):
        try:
            key = _key(path)
        except ValueError:
            continue
        if key is None or key not in found:
            continue
        new = found[key] + _ending(value(key))
        if os.path.realpath(os.path.join(root, path)) in store:
            raise Usage(f"{path} in {root} is the store itself; an export takes another folder")
        if path != new:
            raise Refused(f"{path} in {root} holds the key {key}, which is to be written as {new}; remove it first")


def _make_folders(root: str, found: Mapping[str, str]) -> None:
    """Make the folders of all files. A link in the place of one is refused: it may lead anywhere."""
    made: set[str] = set()
    for name in found.values():
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            if folder not in made:
                made.add(folder)
                _make_folder(os.path.join(root, folder))


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise Refused(f"{path} is there already, and is no folder") from None


def _put(path: str, value: Any) -> None:
    from pydantic_core import to_json

    with whole(path + _ending(value)) as file:
        file.write(value if isinstance(value, bytes) else to_json(value, indent=2) + b"\n")


def _ending(value: Any) -> str:
    return _BYTES if isinstance(value, bytes) else _JSON
