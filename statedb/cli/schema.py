"""init, migrate: a store's file and its schema."""

from __future__ import annotations

import typer

from statedb.cli import output
from statedb.cli.stores import file_of, holds_something, opened, valid_settings


def init(context: typer.Context) -> None:
    """Make a store; one that exists already is left as it is."""
    path = file_of(context)
    found = holds_something(path)
    opened(context, create=True).close()
    output.line(f"{path} is a store already" if found else f"made {path}")


def migrate(context: typer.Context) -> None:
    """Bring a store to the schema of this statedb; make it where there is none."""
    from statedb.db.migrate import HEAD

    path = file_of(context)
    before = _schema_of(path)
    opened(context, create=True).close()
    if before is None:
        output.line(f"made {path} with schema {HEAD}")
    elif before == HEAD:
        output.line(f"{path} has schema {HEAD} already")
    else:
        output.line(f"{path}: from schema {before} to {HEAD}")


def _schema_of(path: str) -> str | None:
    """Return the schema a file has, None where there is no store yet."""
    from statedb.config import Settings
    from statedb.db.migrate import version_of
    from statedb.db.pool import explained
    from statedb.db.sqlite import connect

    if path == ":memory:" or not holds_something(path):
        return None
    with valid_settings(), explained():
        settings = Settings.load({})
        connection = connect(path, settings, mode="ro", patience=settings.busy_timeout)
        try:
            return version_of(connection.raw)
        finally:
            connection.close()
