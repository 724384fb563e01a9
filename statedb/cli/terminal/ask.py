"""A question, to whoever sits at the terminal."""

from __future__ import annotations

import sys


def can_ask() -> bool:
    """Tell whether somebody can read a question and answer it."""
    return all(each is not None and each.isatty() for each in (sys.stdin, sys.stderr))


def agreed(question: str) -> bool:
    """Ask something that is not to be done by mistake, and tell whether the answer is yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
