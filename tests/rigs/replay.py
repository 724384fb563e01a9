"""A run that can be had again: what is drawn in it comes from a seed, which goes with its failure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SEEDS = 1_000_000


@contextmanager
def replayable(rig: str, seconds: float, seed: int | None, folder: Path) -> Iterator[int]:
    """Give the seed of a run, drawn unless told. A failure says it, how to run it again, and where what was said is."""
    seed = random.SystemRandom().randrange(SEEDS) if seed is None else seed
    try:
        yield seed
    except Exception as error:
        error.add_note(f"seed {seed}; again: python -m tests.rigs {rig} {seconds:g} {seed}; what was said: {folder}")
        raise
