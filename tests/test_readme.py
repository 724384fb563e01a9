"""The README and the pages in docs: every block is run, and what it says a line returns is what the line returns."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

import statedb
from tests.places import bare_place

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TOUR = README[README.index("## A tour") : README.index("## The four tiers")]


SERVER = "postgresql+psycopg://app@db.example/app"
"""A database on a server, where a page needs one: a test gives it an empty one."""

PAGES = ("docs/asking-the-past.md", "docs/caching.md", "docs/live.md", "docs/time-travel.md")
DOCUMENTS = {"README.md": TOUR} | {page: (ROOT / page).read_text() for page in PAGES}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def checked(block: str) -> str:
    """Return a block with its comments `# ->` and `# raises` made assertions."""
    block = re.sub(r"\n# -> ", "  # -> ", block)
    lines = []
    for line in block.splitlines():
        if match := re.match(r"(\s*)(.+?)  # -> (.+)$", line):
            indent, expression, value = match.groups()
            lines.append(f"{indent}assert ({expression}) == ({value}), {expression!r}")
        elif match := re.match(r"(.+?)  # raises (\w+)$", line):
            lines.append(f"with pytest.raises({known(match[2])}): {match[1]}")
        else:
            lines.append(line)
    return "\n".join(lines)


def known(error: str) -> str:
    """Return the name of an error, which a page has not always imported."""
    return f"statedb.{error}" if hasattr(statedb, error) else error


def shown(printed: str) -> re.Pattern[str]:
    """Return a pattern of what a command is said to print: an ellipsis stands for times, which no page can know."""
    return re.compile("[^\\n]*".join(map(re.escape, printed.split("…"))))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_runs_and_returns_or_prints_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"pytest": pytest, "statedb": statedb}
    with ExitStack() as ending:
        for block in blocks(DOCUMENTS[name], "python"):
            if SERVER in block:
                block = block.replace(SERVER, ending.enter_context(bare_place("postgres", tmp_path)))
            exec(compile(checked(block), name, "exec"), space)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks(DOCUMENTS[name], "console"):
        for command, printed in re.findall(r"^\$ (.+)\n((?:[^$].*\n)*)", block, re.MULTILINE):
            done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True, check=True)
            assert shown(printed).fullmatch(done.stdout), f"{command}\n{done.stdout}"


def test_a_line_that_returns_something_else_is_noticed() -> None:
    with pytest.raises(AssertionError):
        exec(checked("1 + 1  # -> 3"))
    assert shown("at …Z: 1\n").fullmatch("at 12:00Z: 1\n")
    assert not shown("at …Z: 1\n").fullmatch("at 12:00Z: 2\n")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_block_is_left_out(name: str) -> None:
    text = DOCUMENTS[name]
    assert text.count("```") == 2 * (len(blocks(text, "python")) + len(blocks(text, "console")))


def test_the_table_of_the_tiers_is_the_table_in_the_code() -> None:
    section = README[README.index("## The four tiers") : README.index("## Guarantees")]
    rows = dict(re.findall(r"\| `(\w+)` \| (.+?) \|", section))
    assert {str(tier): policy.purpose for tier, policy in statedb.TIERS.items()} == {
        name: purpose.split(" (")[0] for name, purpose in rows.items()
    }
    [hours] = re.findall(r"ttl, (\d+) h", section)
    ttl = statedb.TIERS[statedb.StateType.SESSION].ttl
    assert ttl is not None
    assert ttl.total_seconds() == int(hours) * 3600


def test_the_table_of_the_settings_is_the_table_in_the_code() -> None:
    section = README[README.index("## Settings") : README.index("## Architecture")]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(statedb.Settings.model_fields)


def test_the_architecture_table_names_every_file_of_the_house() -> None:
    section = README[README.index("## Architecture") : README.index("## Contributing")]
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", section))
    package = Path(statedb.__file__).parent
    folders = {"values", "rooms", "cli"}
    for path in package.rglob("*.py"):
        place = path.relative_to(package)
        if place.parts[0] in folders:
            assert f"{place.parts[0]}/" in named
        elif place.name not in ("__init__.py", "__main__.py"):
            assert str(place) in named, place
    assert all((package / name).exists() or (ROOT / name).exists() for name in named)
