"""The command line, called in two ways: in this process, which is quick, and as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import Cli, Program


@pytest.fixture
def cli(path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run commands on the store at `path`, in this process."""
    monkeypatch.delenv("STATEDB_URL", raising=False)
    monkeypatch.setenv("STATEDB_DURABILITY", "normal")
    return Cli(path)


@pytest.fixture
def program(path: Path) -> Program:
    """Run commands on the store at `path`, each in a process of its own."""
    return Program(path)
