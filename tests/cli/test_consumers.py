from __future__ import annotations

from statedb import Store
from tests.cli.helpers import Cli


def test_consumers_are_listed_with_their_lag_and_forgotten(told: Cli) -> None:
    with Store(told.name) as store:
        indexer = store.feed.consumer("indexer", agent_id="a", kinds=["create"])
        indexer.fetch()
        indexer.ack(5)
        store.feed.consumer("audit")
    first, second = told.ok("consumer", "list", "--json").json
    assert (first["name"], first["revision"], first["lag"], first["filter"]) == ("audit", 0, 7, {})
    assert (second["name"], second["revision"], second["lag"]) == ("indexer", 5, 2)
    assert second["filter"] == {"agent_id": "a", "kinds": ["create"]}
    lines = [line.split() for line in told.ok("consumer", "list").text.splitlines()]
    assert lines[0] == ["name", "revision", "lag", "at", "filter"]
    assert [line[:3] for line in lines[1:]] == [["audit", "0", "7"], ["indexer", "5", "2"]]
    assert told.ok("consumer", "delete", "audit").out == b""
    assert told.refused("consumer", "delete", "audit") == "there is no consumer audit"
    assert len(told.ok("consumer", "list", "--json").json) == 1
