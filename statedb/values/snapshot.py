"""A snapshot: a checkpoint with all there was at its point, as JSON, in the form of the research schema's rows.

    {"id": "7", "agent_id": "a", "checkpoint_name": "before-deploy", "checkpoint_type": "manual",
     "state_snapshot": {"persistent": {"prefs": {"value": {…}, "version": 3, "metadata": {…}, "created_at": "…"}}},
     "created_at": "2026-11-20T09:00:00+00:00", "created_by": "ann", "metadata": null}

Opaque bytes come as base64, in a member `bytes` in place of `value`. A `ttl` is in seconds. Of a checkpoint of the
whole store, `agent_id` is null, and the snapshot holds one such object for each agent, by agent_id.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from statedb.errors import InvalidValue
from statedb.models import MISSING, Address, Checkpoint
from statedb.times import LONGEST
from statedb.values.names import address


class Kept(BaseModel):
    """What a snapshot holds of one key; of members it does not know, nothing is made."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    value: Any = MISSING
    bytes: str | None = None
    metadata: dict[str, Any] | None = None
    ttl: float | None = Field(default=None, gt=0, le=LONGEST)

    def content(self) -> Any:
        """Return the value. Raises InvalidValue where there is none, or two."""
        if (self.bytes is None) == (self.value is MISSING):
            raise InvalidValue("a state of a snapshot has a value or bytes, and not both")
        try:
            return self.value if self.bytes is None else base64.b64decode(self.bytes, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidValue(f"the bytes of a snapshot are no base64: {error}") from None


Tiers = dict[str, dict[str, Kept]]


class Snapshot(BaseModel):
    """A snapshot as it is read back, as far as that needs it.

    Whose it is has to be said: what lost its `agent_id` would otherwise be the whole store's, and delete what is there.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    agent_id: str | None
    checkpoint_name: str = "a snapshot"
    state_snapshot: dict[str, Any]

    @classmethod
    def of(cls, given: Any) -> Snapshot:
        """Return a snapshot, checked. Raises InvalidValue."""
        if not isinstance(given, Mapping):
            raise InvalidValue(f"the snapshot is {type(given).__name__}; it is a dict, as `export` returns one")
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            raise _invalid(error) from None

    def states(self, agent_id: str | None) -> Iterator[tuple[Address, Kept]]:
        """Yield every state it holds; of one agent those of a snapshot of one are taken for another's.

        Raises InvalidValue and InvalidKey.
        """
        alone = self.agent_id is not None
        try:
            whose = {agent_id or self.agent_id: _TIERS.validate_python(self.state_snapshot)} if alone else _all(self)
        except ValidationError as error:
            raise _invalid(error) from None
        for agent, tiers in whose.items():
            if agent is not None and agent_id in (None, agent):
                for tier, keys in tiers.items():
                    for key, kept in keys.items():
                        yield address(agent, tier, key), kept


def _all(snapshot: Snapshot) -> dict[str | None, Tiers]:
    return dict(_AGENTS.validate_python(snapshot.state_snapshot).items())


def shown(value: Any) -> dict[str, Any]:
    """Return how a snapshot shows a value."""
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"value": value}


def row(checkpoint: Checkpoint, agent_id: str | None, states: Mapping[str, Any]) -> dict[str, Any]:
    """Return a snapshot of an agent, or with None of the whole store."""
    return {
        "id": str(checkpoint.id),
        "agent_id": agent_id,
        "checkpoint_name": checkpoint.name,
        "checkpoint_type": checkpoint.type.value,
        "state_snapshot": states,
        "created_at": checkpoint.created_at.isoformat(),
        "created_by": checkpoint.created_by,
        "metadata": checkpoint.metadata,
    }


def _invalid(error: ValidationError) -> InvalidValue:
    first = error.errors(include_url=False)[0]
    where = "/".join(map(str, first["loc"]))
    return InvalidValue(f"this is no snapshot: {first['msg']} (at {where or 'the top'!s:.200})")


_TIERS: TypeAdapter[Tiers] = TypeAdapter(Tiers)
_AGENTS: TypeAdapter[dict[str, Tiers]] = TypeAdapter(dict[str, Tiers])
