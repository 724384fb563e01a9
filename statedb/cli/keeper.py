"""keeper: what falls due with time, done in time."""

from __future__ import annotations

import typer


def keeper(context: typer.Context) -> None:
    """Keep.

    It.
    """
