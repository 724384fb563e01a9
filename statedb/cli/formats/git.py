"""Import of the history of one file in a git repository: a version for each commit that changed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from statedb.cli.exits import Refused, note
from statedb.cli.formats.batches import Item, batched, load_versions
from statedb.cli.formats.files import LONGEST, parsed
from statedb.cli.stores import exists, opened, place_of, valid_settings
from statedb.cli.terminal import output
from statedb.models import MISSING, Imported, StateType

if TYPE_CHECKING:
    from statedb.cli.formats.filehistory import FileHistory, Step
    from statedb.cli.formats.repository import Blobs

_NAMED = 5
"""How many of the commits left out are named."""


def import_file(
    context: typer.Context, repo: str, path: str, branch: str | None, agent: str, state_type: StateType, key: str
) -> None:
    """Import what a file was on a branch. Commits whose contents the store does not take are left out, and named.

    So are those that the key has already: importing again brings in what is new.
    """
    from statedb.cli.formats.filehistory import FileHistory
    from statedb.cli.formats.repository import Repository

    repository = Repository(repo)
    history = FileHistory(repository, path, branch)
    with repository.blobs() as blobs:
        versions = Versions(history, blobs, _known(context, agent, state_type, key))
        count = load_versions(context, history, batched(versions), (agent, state_type, key))
    already = f"; {versions.already:,} were there already" if versions.already else ""
    output.line(f"imported {count:,} versions of {key}{already}")
    if versions.skipped:
        note(f"skipped {versions.left_out()}")


def _known(context: typer.Context, agent: str, state_type: StateType, key: str) -> frozenset[str]:
    """Return the ids of the git commits that a key has versions of."""
    if not exists(place_of(context)):
        return frozenset()
    with opened(context) as store:
        return frozenset(commit for (commit,) in store.query(_COMMITS, [agent, state_type.value, key]))


_COMMITS = """
select distinct c.context ->> '$.git' from history h join commits c on c.revision = h.revision
where h.agent_id = ? and h.state_type = ? and h.state_key = ? and c.context ->> '$.git' is not null
"""


class Versions:
    """The versions a file's history makes; `skipped` are the commits that make none, with the reason.

    `already` counts those that were imported before, the `known` ones.
    """

    def __init__(self, history: FileHistory, blobs: Blobs, known: frozenset[str]) -> None:
        from statedb.config import Settings

        self._history, self._blobs, self._known = history, blobs, known
        self.skipped: list[tuple[str, str]] = []
        self.already = 0
        with valid_settings():
            self._limit = Settings.load({}).max_value_bytes

    def __iter__(self) -> Iterator[Item[Imported]]:
        begun = False
        for step in self._history:
            if step.commit in self._known:
                begun, self.already = True, self.already + 1
                continue
            try:
                item = self._item(step)
            except ValueError as error:
                self.skipped.append((step.commit, str(error)))
                continue
            # A deletion of what never came in deletes nothing of ours: the key may be older than this import.
            if begun or not step.deletes:
                begun = True
                yield item
        if not begun:
            raise Refused(f"the file never held what the store takes: {self.left_out()}")

    def left_out(self) -> str:
        """Return a line about the commits that made no version."""
        if not self.skipped:
            return "all its commits deleted it"
        shown = ", ".join(commit[:10] for commit, _ in self.skipped[:_NAMED])
        more = ", …" if len(self.skipped) > _NAMED else ""
        which = "1 commit" if len(self.skipped) == 1 else f"{len(self.skipped):,} commits"
        return f"{which} whose contents are no JSON the store takes: {shown}{more} (the first: {self.skipped[0][1]})"

    def _item(self, step: Step) -> Item[Imported]:
        """Return the version a commit makes. Raises ValueError where it makes none."""
        from statedb.times import micros
        from statedb.values.codec import json_text

        micros(step.at)
        text = b"" if step.deletes else self._contents(step)
        value = MISSING if step.deletes else parsed(text)
        if not step.deletes:
            json_text(value, self._limit)
        # The name alone, as whoever writes to a store is named: an address is personal data more, in a log of which
        # nothing is ever taken back. The commit's id leads to it.
        by, message = step.author.strip() or step.email, step.message.rstrip("\n")
        made = Imported(step.at, value, by or None, message or None, {"git": step.commit})
        return Item(f"commit {step.commit[:10]}", len(text) + len(message), made)

    def _contents(self, step: Step) -> bytes:
        if step.blob is None:
            raise ValueError("no ordinary file")
        found = self._blobs.read(step.blob, LONGEST)
        if found is None:
            raise ValueError(f"more than {LONGEST:,} bytes")
        return found
