"""SQLAlchemy-Continuum: a mapped class whose every flush writes a row of its history; a session for each call."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, orm

from benchmarks.peers.peer import Durability, Peer, imported, pragma


class Continuum(Peer):
    name = "sqlalchemy-continuum"
    package = "sqlalchemy-continuum"
    keeps = "every version, each with the whole value"
    same = "`pragma synchronous` and `journal_mode = wal` on each of its connections"

    def __init__(self, folder: Path, durability: Durability) -> None:
        self._mapped = _mapped()
        self._engine = sa.create_engine(f"sqlite:///{folder / 'continuum.db'}")

        @event.listens_for(self._engine, "connect")
        def connected(raw: Any, _: object) -> None:
            raw.execute("pragma journal_mode = wal")
            raw.execute(pragma(durability))

        self._mapped.metadata.create_all(self._engine)
        self._session = orm.sessionmaker(self._engine)

    def set(self, key: str, value: Any) -> None:
        with self._session() as session:
            found = session.get(self._mapped, key)
            if found is None:
                session.add(self._mapped(key=key, value=value))
            else:
                found.value = value
            session.commit()

    def get(self, key: str) -> Any:
        with self._session() as session:
            return session.get_one(self._mapped, key).value

    def close(self) -> None:
        self._engine.dispose()


@cache
def _mapped() -> Any:
    """Return the mapped class, made once: versioning is switched on for a whole process."""
    imported("sqlalchemy_continuum").make_versioned(user_cls=None)
    base: Any = orm.declarative_base()
    made = type(
        "State",
        (base,),
        {
            "__tablename__": "states",
            "__versioned__": {},
            "key": sa.Column(sa.String, primary_key=True),
            "value": sa.Column(sa.JSON),
        },
    )
    orm.configure_mappers()
    return made
