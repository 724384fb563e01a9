"""consumer list, delete."""

from __future__ import annotations

import typer

from statedb.cli.arguments import Json


def list_(context: typer.Context, as_json: Json = False) -> None:
    """Keep.

    It.
    """


def delete(context: typer.Context, name: str) -> None:
    """Keep.

    It.
    """
