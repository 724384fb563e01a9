"""How the demo looks: a sentence, the code, what came of it."""

from __future__ import annotations

from typing import Any

from rich.syntax import Syntax
from rich.text import Text

from statedb.cli.terminal import output
from statedb.errors import VersionConflict
from statedb.models import Entry, Health, Version

_WIDTH = 120
"""Columns, where there is no terminal."""


class Page:
    """The console the story is told on."""

    def __init__(self) -> None:
        self._console = output.console(_WIDTH)

    def story(self, sentence: str | None) -> None:
        output.show(self._console, Text(sentence or "", style="bold"))

    def code(self, *parts: str) -> None:
        text = "\n".join(part.rstrip("\n") for part in parts if part)
        self._indented(Syntax(text, "python", theme="ansi_dark", background_color="default").highlight(text))

    def result(self, result: Any) -> None:
        for line in _lines(result):
            self._indented(Text(f"→ {line}", style="green"))
        output.show(self._console)

    def end(self, kept: str | None, written: int, size: int) -> None:
        """Set what was written beside what the file takes."""
        self.story(f"{written:,} bytes of values were written, every version is kept, and the file has {size:,} bytes.")
        if kept:
            self.story(f"It is yours: statedb -f {kept} log")

    def _indented(self, text: Text) -> None:
        # Line by line: rich pads a block of them with spaces to a common width.
        for line in text.split("\n"):
            output.show(self._console, Text("  ").append_text(line) if line else line, wrap=False)


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
