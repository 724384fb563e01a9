"""What a caller says about something he keeps: a JSON object, stored as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statedb.errors import InvalidValue
from statedb.values import codec


def metadata_text(metadata: Mapping[str, Any] | None, limit: int) -> str | None:
    """Return metadata as it is stored, None for none; `limit` is in bytes. Raises InvalidValue."""
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise InvalidValue(f"metadata is {type(metadata).__name__}; it is a dict")
    return codec.json_text(dict(metadata), limit).decode()
