"""Rows made into the frozen values a caller receives."""

from __future__ import annotations

from typing import Any, cast

from pydantic_core import from_json

from statedb.db.heads import Head
from statedb.db.tx import Tx
from statedb.models import Address, Entry, StateType
from statedb.times import maybe, moment
from statedb.values import codec

_UNREAD = object()


def entry_of(tx: Tx, at: Address, head: Head, value: Any = _UNREAD) -> Entry:
    """Return the entry of a head; `value` where the caller has it at hand already."""
    return Entry(
        agent_id=at.agent_id,
        state_type=StateType(at.state_type),
        key=at.key,
        value=codec.decode(head.stored) if value is _UNREAD else value,
        version=head.version,
        parent_version=head.parent_version,
        revision=head.revision,
        created_at=moment(head.created_at),
        updated_at=moment(head.updated_at),
        created_by=head.created_by,
        expires_at=maybe(head.expires_at),
        metadata=json_object(head.metadata),
        deleted=head.codec is None,
    )


def json_object(text: str | None) -> dict[str, Any] | None:
    """Return a stored JSON object, None for none."""
    return None if text is None else cast(dict[str, Any], from_json(text))
