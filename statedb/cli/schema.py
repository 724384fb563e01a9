"""init, migrate: a store's file and its schema."""

from __future__ import annotations

import typer

from statedb.cli.stores import file_of, holds_something, opened, valid_settings
from statedb.cli.terminal import output


def init(context: typer.Context) -> None:
    """Make a store; one that exists already is left as it is.

    Commands that write make a store too; this one says where it went, and leaves it empty.
    """
    path = file_of(context)
    found = holds_something(path)
    opened(context, create=True).close()
    output.line(f"{path} is a store already" if found else f"made {path}")


def migrate(context: typer.Context) -> None:
    """Bring a store to the schema of this statedb; make it where there is none.

    Every command does so as it opens a store; this one tells from what to what. A store that is newer than this statedb
    is refused and left as it is.
    """
    from statedb.config import Settings
    from statedb.db.migrate import HEAD
    from statedb.db.sqlite.opening import schema_of
    from statedb.db.sqlite.pool import explained

    path = file_of(context)
    with valid_settings(), explained():
        before = schema_of(path, Settings.load({}))
    opened(context, create=True).close()
    if before is None:
        output.line(f"made {path} with schema {HEAD}")
    elif before == HEAD:
        output.line(f"{path} has schema {HEAD} already")
    else:
        output.line(f"{path}: from schema {before} to {HEAD}")
