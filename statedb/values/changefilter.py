"""Which changes somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast, get_args

from statedb.errors import InvalidValue
from statedb.models import ChangeKind
from statedb.values import glob
from statedb.values.arguments import said
from statedb.values.names import name, tier

KINDS: frozenset[str] = frozenset(get_args(ChangeKind))
"""What happens to values, which is what is asked for where nothing is said."""
LOCK_KINDS = frozenset({"lock", "unlock", "lapse"})
"""What happens to locks."""


@dataclass(frozen=True)
class StateChangeFilter:
    """What to be told of: changes to one agent's states or everybody's, of one tier or all, of keys that match a glob.

    `kinds` are create, update, delete and expire unless told; lock, unlock and lapse come only where they are named,
    and not where a tier is. Raises InvalidKey and InvalidValue.
    """

    agent_id: str | None = None
    state_type: str | None = None
    pattern: str = "*"
    kinds: Iterable[str] | None = None

    def __post_init__(self) -> None:
        if self.agent_id is not None:
            object.__setattr__(self, "agent_id", name(self.agent_id, "agent_id"))
        if self.state_type is not None:
            object.__setattr__(self, "state_type", tier(self.state_type))
        if not isinstance(self.pattern, str) or not said(self.pattern, "pattern"):
            raise InvalidValue(f"pattern is {self.pattern!r:.80}; it is a glob, such as plan/*")
        object.__setattr__(self, "kinds", _kinds(self.kinds))

    @property
    def chosen(self) -> frozenset[str]:
        """The kinds of change asked for."""
        return cast("frozenset[str]", self.kinds)

    @property
    def is_plain(self) -> bool:
        """Whether every change to a value is asked for, be it of one agent."""
        return self.state_type is None and self.pattern == "*" and self.chosen >= KINDS

    @property
    def of_locks(self) -> bool:
        """Whether what happens to locks is asked for."""
        return self.state_type is None and not LOCK_KINDS.isdisjoint(self.chosen)

    def takes_key(self, agent_id: str, state_type: str, key: str) -> bool:
        """Tell whether a key is one of those asked for."""
        return (
            (self.agent_id is None or agent_id == self.agent_id)
            and (self.state_type is None or state_type == self.state_type)
            and (self.pattern == "*" or glob.glob(self.pattern).takes(key))
        )

    def takes(self, agent_id: str, state_type: str, key: str, kind: str) -> bool:
        """Tell whether a change is one of those asked for."""
        return kind in self.chosen and self.takes_key(agent_id, state_type, key)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object, from which `StateChangeFilter(**it)` is the same."""
        return {
            "agent_id": self.agent_id,
            "state_type": self.state_type,
            "pattern": self.pattern,
            "kinds": sorted(self.chosen),
        }


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """A durable reader of the feed: up to which revision it has acknowledged, and how many the store is ahead of it."""

    name: str
    revision: int
    lag: int
    filter: StateChangeFilter
    created_at: datetime
    acknowledged_at: datetime


def _kinds(told: Any) -> frozenset[str]:
    if told is None:
        return KINDS
    try:
        kinds = frozenset([told] if isinstance(told, str) else told)
    except TypeError:
        raise InvalidValue(f"kinds is {told!r:.80}; it is one kind of change, or several") from None
    if not kinds or not kinds <= KINDS | LOCK_KINDS:
        there = ", ".join(sorted(KINDS | LOCK_KINDS))
        raise InvalidValue(f"kinds is {sorted(map(str, kinds))}; there are {there}")
    return kinds
