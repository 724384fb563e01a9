"""What `--help` says of a command beside its options: a page with a synopsis, what it does, and examples."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

_MARKUP = re.compile(r"(\\*)(\[[a-z#/@][^[]*?])")
"""What would be read as markup, as rich has it; its own function would cost every command the import of it."""


def paragraphs(docstring: str | None) -> str:
    """Return a docstring with each paragraph on one line, so that it is broken to the terminal's width alone."""
    parts = inspect.cleandoc(docstring or "").split("\n\n")
    return plain("\n\n".join(" ".join(part.split()) for part in parts))


def epilog(examples: Sequence[str], prints: str | None = None) -> str:
    """Return the end of a page: what --json prints, and the examples, each on a line of its own."""
    note = [f"With --json: {prints}."] if prints else []
    heading = "Example:" if len(examples) == 1 else "Examples:"
    return plain("\n\n".join([*note, "\n".join([heading, *(f"  {each}" for each in examples)])]))


def plain(text: str) -> str:
    """Return text that rich shows as it stands."""
    return _MARKUP.sub(r"\1\1\\\2", text)
