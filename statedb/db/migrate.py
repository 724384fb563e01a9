"""The schema of this library, and how alembic brings a store to it.

Opening a current store asks small questions only and imports neither alembic nor an engine; both would cost 50 times
what opening does.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from statedb.errors import StoreTooNew

if TYPE_CHECKING:
    from sqlalchemy import Connection as Bind

HEAD = "0006"
"""The newest revision in migrations/versions, which a test holds it to. Numbers, so that newer is told from older."""


def refuse_newer(found: str | None) -> None:
    """Raise StoreTooNew for a schema this library does not know."""
    if found is not None and found > HEAD:
        raise StoreTooNew(
            f"the store has schema {found} and this statedb knows {HEAD} at most; nothing was touched. Upgrade statedb",
            found=found,
            known=HEAD,
        )


def run_migrations(bind: Bind, target: str) -> None:
    """Bring a store to a schema, on a connection in a transaction of its own."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["connection"] = bind
    command.upgrade(config, target)


def scripts() -> Path:
    """Return the folder of the migrations: inside the package where it is installed, beside it in a checkout."""
    inside = Path(__file__).parents[1] / "migrations"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "migrations"


def identity(now: int) -> tuple[str, int]:
    """Return a new store's identity, the origin of its commits wherever they go, and when it was made."""
    return uuid.uuid4().hex, now
