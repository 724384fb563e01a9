"""Try an installed statedb: open, write, read, and bring a store of the first schema to the newest."""

import sqlite3
from pathlib import Path

import statedb
from statedb.db import migrate
from statedb.db.sqlite import opening

assert "site-packages" in statedb.__file__, statedb.__file__
assert migrate.scripts().parent == Path(statedb.__file__).parent, migrate.scripts()

with statedb.Store("new.db") as store:
    store.states.set("agent-1", "persistent", "prefs", {"theme": "dark"})
    assert store.states.get("agent-1", "persistent", "prefs") == {"theme": "dark"}

opening.create_at("old.db", "0001")
assert opening.version_of(sqlite3.connect("old.db")) == "0001"
with statedb.Store("old.db") as store:
    store.states.set("agent-1", "persistent", "prefs", 1)
    assert store.health.check().ok
with sqlite3.connect("old.db") as raw:
    assert opening.version_of(raw) == migrate.HEAD
    assert raw.execute("select count(*) from states").fetchone() == (1,)
print("upgraded 0001 to", migrate.HEAD)
