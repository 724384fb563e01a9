"""A value as a type of the caller's: a pydantic model made JSON, and JSON read back as one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from statedb.errors import InvalidValue
from statedb.values import codec, pointer
from statedb.values.codec import Stored


def as_json(value: Any) -> Any:
    """Return what is stored for a value: a pydantic model's JSON form, anything else as it is."""
    if not isinstance(value, BaseModel):
        return value
    try:
        finite = _is_finite(value.model_dump(round_trip=True))
        # Without computed fields: a model that forbids extra members could not be read back with them.
        made = value.model_dump(mode="json", round_trip=True)
    except (ValueError, RecursionError, PydanticSerializationError) as error:
        raise InvalidValue(f"this {type(value).__name__} has no JSON form: {error!s:.200}") from error
    if not finite:
        raise InvalidValue(f"this {type(value).__name__} holds NaN or an infinity, which its JSON would make null")
    return made


def _is_finite(part: Any) -> bool:
    if isinstance(part, float):
        return math.isfinite(part)
    if isinstance(part, dict):
        return all(map(_is_finite, part.values()))
    return not isinstance(part, list | tuple | set | frozenset) or all(map(_is_finite, part))


# A cache of functions typed Any: checkers hold that a type might not be hashable.
_adapter: Callable[[Any], TypeAdapter[Any]] = lru_cache(maxsize=256)(TypeAdapter)


def read_as(stored: Stored, as_type: type[Any]) -> Any:
    """Return a stored value as a pydantic model, or as any type pydantic knows. InvalidValue where it does not fit."""
    return read_plain(codec.plain(stored), as_type, is_json=codec.is_json(stored))


def read_plain(plain: str | bytes, as_type: type[Any], *, is_json: bool) -> Any:
    """Return JSON text or opaque bytes as such a type."""
    if as_type is bytes and not is_json:
        return plain
    try:
        return _adapter(as_type).validate_json(plain, by_alias=True, by_name=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = pointer.render([str(part) for part in first["loc"]])
        raise InvalidValue(
            f"the value is no {getattr(as_type, '__name__', as_type)}: {first['msg']} (at {where or 'the top'}; "
            f"{error.error_count()} in all)",
            path=where,
        ) from error
