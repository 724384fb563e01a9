"""How the demo looks: a sentence, the code, what came of it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

from statedb.cli import output
from statedb.errors import VersionConflict
from statedb.models import Entry, Health, Version

_WIDEST = 120


class Page:
    """The console the story is told on."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._console.width = min(self._console.width, _WIDEST) if self._console.is_terminal else _WIDEST

    def story(self, sentence: str | None) -> None:
        self._console.print(Text(sentence or "", style="bold"))

    def code(self, *parts: str) -> None:
        text = "\n".join(part.rstrip("\n") for part in parts if part)
        shown = Syntax(text, "python", theme="ansi_dark", background_color="default").highlight(text)
        self._print(shown)

    def result(self, result: Any) -> None:
        for line in _lines(result):
            self._print(Text(f"→ {line}", style="green"))
        self._console.print()

    def end(self, kept: str | None, written: int, size: int) -> None:
        """Set what was written beside what the file takes."""
        said = f"{written:,} bytes of values were written, every version is kept, and the file has {size:,} bytes."
        self._console.print(Text(said, style="bold"))
        if kept:
            self._console.print(Text(f"It is yours: statedb -f {kept} log", style="bold"))

    def _print(self, text: Text) -> None:
        # Line by line: rich pads a block of them with spaces to a common width.
        for line in text.split("\n"):
            self._console.print(Text("  ").append_text(line) if line else line, soft_wrap=True)


def _lines(result: Any) -> list[str]:
    """Return a result as people read it."""
    match result:
        case Entry():
            return [f"version {result.version}, revision {result.revision}: {output.brief(result.value)}"]
        case [Version(), *_]:
            return [_version(each) for each in result]
        case VersionConflict():
            return [f"VersionConflict: {result}"]
        case Health():
            problems = "; ".join(result.problems) or "no problems"
            return [f"{result.commits:,} commits, {result.versions:,} versions, {problems}"]
        case dict():
            return [f"{name}: {output.brief(each)}" for name, each in result.items()]
    return [output.brief(result)]


def _version(found: Version) -> str:
    said = f"version {found.version}, revision {found.revision}, {output.when(found.at)}, by {found.by}: {found.change}"
    return f"{said} ({found.message})" if found.message else said
