"""init, migrate: a store and its schema."""

from __future__ import annotations

import typer

from statedb.cli.stores import exists, opened, place_of, valid_settings
from statedb.cli.terminal import output


def init(context: typer.Context) -> None:
    """Make a store; one that exists already is left as it is.

    Commands that write make a store too; this one says where it went, and leaves it empty.
    """
    place = place_of(context)
    found = exists(place)
    with opened(context, create=True):
        pass
    output.line(f"{place.shown} is a store already" if found else f"made {place.shown}")


def migrate(context: typer.Context) -> None:
    """Bring a store to the schema of this statedb; make it where there is none.

    Every command does so as it opens a store; this one tells from what to what. A store that is newer than this statedb
    is refused and left as it is.
    """
    from statedb.config import Settings
    from statedb.db import peek
    from statedb.db.migrate import HEAD

    place = place_of(context)
    with valid_settings():
        before = peek.schema_of(place, Settings.load({}))
    with opened(context, create=True):
        pass
    if before is None:
        output.line(f"made {place.shown} with schema {HEAD}")
    elif before == HEAD:
        output.line(f"{place.shown} has schema {HEAD} already")
    else:
        output.line(f"{place.shown}: from schema {before} to {HEAD}")
