"""What retention has cut, named beside what is left."""

from __future__ import annotations

from collections.abc import Sequence

from statedb.cli.exits import note
from statedb.models import Address

_NAMED = 3


def tell_missing(missing: Sequence[Address]) -> None:
    """Say on standard error which keys retention has cut, if any: the output alone would pass for the whole."""
    if missing:
        named = ", ".join(f"{at.key} ({at.state_type} of {at.agent_id})" for at in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        note(f"retention has cut versions this old of {named}{more}; what is left is shown")
