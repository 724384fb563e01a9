"""Alembic's entry: run the migrations on the connection the store hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from statedb.db.views import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations run through statedb itself: statedb -f FILE migrate")

context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
