"""What may be called what: agent_id, state_type, key."""

from __future__ import annotations

from statedb.errors import InvalidKey
from statedb.models import Address, StateType

MAX_BYTES = 1024

_TYPES = {each.value: each.value for each in StateType}


def address(agent_id: str, state_type: str, key: str) -> Address:
    """Return the address of a key. Raises InvalidKey."""
    return Address(name(agent_id, "agent_id"), tier(state_type), name(key, "key"))


def tier(state_type: str) -> str:
    """Return a state type as the store writes it. Raises InvalidKey."""
    try:
        return _TYPES[state_type]
    except (KeyError, TypeError):
        raise InvalidKey(f"state_type is {state_type!r:.80}; it is one of {', '.join(_TYPES)}") from None


def name(text: str, what: str) -> str:
    """Return a text that may be an agent_id or a key: 1 to 1,024 UTF-8 bytes, no NUL. Raises InvalidKey.

    Nothing else is refused or rewritten: texts that differ only by normal form are two keys.
    """
    if type(text) is str and text.isascii() and 0 < len(text) <= MAX_BYTES and "\0" not in text:
        return text
    return _checked(text, what)


def _checked(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise InvalidKey(f"{what} is {type(text).__name__}, not text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidKey(f"{what} {text!r:.80} holds a lone surrogate, which UTF-8 cannot carry") from None
    if not 0 < size <= MAX_BYTES:
        raise InvalidKey(f"{what} has {size:,} bytes; it takes 1 to {MAX_BYTES:,}")
    if "\0" in text:
        raise InvalidKey(f"{what} {text!r:.80} holds a NUL character")
    return str.__str__(text)  # of a subclass, the text it is, not what it prints as
