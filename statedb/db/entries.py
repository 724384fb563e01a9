"""Rows made into the frozen values a caller receives."""

from __future__ import annotations

from typing import Any, cast

from pydantic_core import from_json

from statedb.db.heads import Head
from statedb.db.tx import Tx
from statedb.models import MISSING, UNAVAILABLE, Address, Entry, StateType
from statedb.times import maybe, moment
from statedb.values import codec
from statedb.values.codec import Stored

_UNREAD = object()
TIER_OF = {tier.value: tier for tier in StateType}


def entry_of(tx: Tx, at: Address, head: Head, value: Any = _UNREAD) -> Entry:
    """Return the entry of a head; `value` where the caller has it at hand already."""
    # By position, and with a table for the tier: this runs once for every write.
    return Entry(
        at.agent_id,
        TIER_OF[at.state_type],
        at.key,
        codec.decode(head.stored) if value is _UNREAD else value,
        head.version,
        head.parent_version,
        head.revision,
        moment(head.created_at),
        moment(head.updated_at),
        head.created_by,
        maybe(head.expires_at),
        json_object(head.metadata),
        head.codec is None,
    )


def held(stored: Stored) -> Any:
    """Return a stored value, MISSING where there is none. Raises Erased."""
    return MISSING if stored.codec is None else codec.decode(stored)


def shown(stored: Stored) -> Any:
    """Return a value as a change shows it: None where there is none, UNAVAILABLE where it was erased."""
    return UNAVAILABLE if stored.codec == codec.ERASED else codec.decode(stored)


def json_object(text: str | None) -> dict[str, Any] | None:
    """Return a stored JSON object, None for none."""
    return None if text is None else cast(dict[str, Any], from_json(text))
