"""A condition on a value: whether a place in it is there, or how it compares.

    /theme == "dark"      /size > 10      /tags      "/odd name" != null      == 5

Nothing of it is run: it is a place, a sign and a piece of JSON.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from statedb.cli.exits import Usage
from statedb.models import MISSING
from statedb.values import pointer
from statedb.values.same import equal, is_list, is_object

Condition = Callable[[Any], bool]

FORMS = (
    "a JSON Pointer that must lead to something but null or false, such as /tags; or one that is compared with JSON by "
    "== != < <= > >=, such as '/theme == \"dark\"'"
)

_FORM = re.compile(
    r"""
    (?P<place> "(?:[^"\\]|\\.)*" | [^\s"=<>!]* )
    (?: \s* (?P<sign> ==|!=|<=|>=|<|> ) \s* (?P<json> \S.* ) )?
    """,
    re.VERBOSE | re.DOTALL,
)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition(text: str) -> Condition:
    """Return the condition that a text means. Usage where it means none.

    Equality is JSON's: 1 and 1.0 are equal, and the order of members counts for nothing. Only numbers have an order
    among each other, and texts. A place that is not there is equal to nothing, and neither below nor above anything.
    """
    form = _FORM.fullmatch(text.strip())
    if form is None or not form[0]:
        raise Usage(f"{text!r:.80} is no condition; give {FORMS}")
    path = _path(form["place"], text)
    sign = form["sign"]
    if sign is None:
        return lambda value: _stands(_found(value, path))
    right = _json(form["json"], text)
    if sign in ("==", "!="):
        return lambda value: equal(_found(value, path), right) is (sign == "==")
    order = _ORDERS[sign]
    return lambda value: _comparable(left := _found(value, path), right) and order(left, right)


def _path(place: str, text: str) -> tuple[str, ...]:
    try:
        return pointer.parse(from_json(place) if place.startswith('"') else place)
    except ValueError as error:
        raise Usage(f"{text!r:.80} names no place in a value: {error}") from None


def _json(given: str, text: str) -> Any:
    try:
        return from_json(given, allow_inf_nan=False)
    except ValueError as error:
        raise Usage(
            f"{text!r:.80} compares with what is not JSON ({error}); text needs quotes: '/theme == \"dark\"'"
        ) from None


def _found(value: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at a place, MISSING where nothing does."""
    for part in path:
        if is_object(value):
            value = value.get(part, MISSING)
        elif is_list(value):
            value = value[int(part)] if _is_index(part) and int(part) < len(value) else MISSING
        else:
            return MISSING
    return value


def _stands(found: Any) -> bool:
    # By identity: to == the number 0 is False, and it is something.
    return not any(found is nothing for nothing in (MISSING, None, False))


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") and len(part) < 19


def _comparable(left: Any, right: Any) -> bool:
    return (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
