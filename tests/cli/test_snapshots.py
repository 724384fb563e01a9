from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli


@pytest.fixture
def kept(cli: Cli) -> Cli:
    cli.ok("set", *PREFS, '{"theme":"dark"}')
    cli.ok("checkpoint", "create", "before")
    cli.ok("set", *PREFS, '{"theme":"light"}')
    cli.ok("set", "b", "local", "k", "1")
    return cli


def test_a_snapshot_is_printed_and_brought_back(kept: Cli, tmp_path: Path) -> None:
    printed = kept.ok("checkpoint", "export", "before")
    assert printed.json["state_snapshot"]["a"]["persistent"]["prefs"]["value"] == {"theme": "dark"}
    (tmp_path / "s.json").write_bytes(printed.out)
    plan = '~ a/persistent/prefs\n    ~ /theme: "light" → "dark"\n- b/local/k: 1\n'
    load = ("checkpoint", "load", str(tmp_path / "s.json"))
    assert kept.ok(*load, "--dry-run").text == f"{plan}2 keys would be restored\n"
    assert "give --yes" in kept.wrong(*load)
    assert kept.ok(*load, "--yes").text == f"{plan}revision 5 restores 2 keys\n"
    assert kept.ok("get", *PREFS).json == {"theme": "dark"}


def test_a_snapshot_of_an_agent_is_brought_back_as_anothers(kept: Cli, elsewhere: Cli) -> None:
    printed = kept.ok("checkpoint", "export", "before", "--agent", "a").out
    ran = elsewhere("checkpoint", "load", "-", "--agent", "z", "--type", "persistent", "--yes", "--json", stdin=printed)
    assert [(each["agent_id"], each["key"]) for each in ran.json["changes"]] == [("z", "prefs")]
    assert elsewhere.ok("get", "z", "persistent", "prefs").json == {"theme": "dark"}


def test_what_is_no_snapshot_is_refused(kept: Cli, tmp_path: Path) -> None:
    assert "is not JSON" in kept.wrong("checkpoint", "load", "-", stdin=b"{")
    assert "no JSON object" in kept.wrong("checkpoint", "load", "-", stdin=b"[]")
    assert "No such file" in kept.refused("checkpoint", "load", str(tmp_path / "none"))
    assert kept("checkpoint", "load", "-", "--yes", stdin=b"{}").code == 1
    assert "there is no checkpoint 'never'" in kept.refused("checkpoint", "export", "never")
