"""Files: the JSON in them, and how they are written so that nobody ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

LONGEST = 512 * 1024 * 1024
"""Bytes of one document. It stops a file without line ends, or one that decompresses to no end, before memory does."""

_BOM = b"\xef\xbb\xbf"


def parsed(text: bytes) -> Any:
    """Return what JSON text means. Raises ValueError; NaN and the infinities are not JSON."""
    from pydantic_core import from_json

    return from_json(text.removeprefix(_BOM), allow_inf_nan=False, cache_strings="keys")


@contextmanager
def whole(path: str) -> Iterator[BinaryIO]:
    """Open a file to write, which appears under its name, or takes the place of what is there, once it is whole."""
    part = f"{path}.{os.getpid()}.part"
    try:
        target = open(part, "xb")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    try:
        with target:
            yield target
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
