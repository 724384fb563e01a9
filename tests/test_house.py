"""Tests that guard the house: its public names, the direction of its imports, the length of its rooms."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import statedb
from statedb.operation import Operation

PACKAGE = Path(statedb.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)

# Who may import whom: a file imports only what stands above it. Files of one line may import each other.
ORDER = [
    ["errors"],
    ["models"],
    ["config", "times"],
    ["values"],
    ["live"],
    ["db"],
    ["rooms"],
    ["operation"],
    ["held", "surface", "handles"],
    ["watchdog", "alarm", "keeper"],
    ["transaction"],
    ["store", "aio"],
    ["caching"],
    ["__init__"],
    ["cli"],
    ["__main__"],
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    """Return the modules a file imports when it runs, those for type checkers alone left out."""
    found: list[str] = []
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found


def test_every_part_of_the_house_has_its_place_in_the_order() -> None:
    assert {place(path) for path in FILES} <= set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up_the_list_only(path: Path) -> None:
    mine = RANK[place(path)]
    for module in imported(path):
        parts = module.split(".")
        if parts[0] != "statedb" or len(parts) < 2:
            continue
        other = parts[1] if parts[1] in RANK else "__init__"
        assert RANK[other] <= mine, f"{path.name} imports {module}"


def test_importing_statedb_imports_no_command_line_and_no_migrations() -> None:
    import subprocess
    import sys

    script = "import sys, statedb; sys.exit(any(m in sys.modules for m in ('typer', 'rich', 'alembic')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(statedb.__all__, key=str) == sorted(set(statedb.__all__), key=str)
    for name in statedb.__all__:
        thing = getattr(statedb, name)
        if isinstance(thing, type):
            assert thing.__doc__, name


def test_every_operation_is_documented_and_shows_its_own_signature() -> None:
    with statedb.Store(":memory:") as store:
        for room in (
            store,
            store.states,
            store.history,
            store.feed,
            store.retention,
            store.transfer,
            store.health,
            store.conflicts,
        ):
            for name, operation in inspect.getmembers(type(room)):
                if isinstance(operation, Operation):
                    call = getattr(room, name)
                    assert call.__doc__, name
                    assert call.__name__ == name
                    assert "tx" not in call.__signature__.parameters
        assert str(inspect.signature(store.query)).endswith("-> 'Rows'")


def test_every_module_says_what_it_is() -> None:
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_room_is_longer_than_one_noun_can_be() -> None:
    assert {path.name: len(path.read_text().splitlines()) for path in FILES if path.read_text().count("\n") > 400} == {}
