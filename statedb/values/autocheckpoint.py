"""When an agent's automatic checkpoints are made, as a caller says it and as the store keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic_core import from_json, to_json

from statedb.errors import InvalidKey, InvalidValue
from statedb.models import Address
from statedb.values.arguments import natural
from statedb.values.glob import BEYOND, Glob, glob
from statedb.values.names import name, tier

INTERVAL, COUNT, END, MANUAL = "time_interval", "state_change_count", "conversation_end", "manual"
TRIGGERS = (INTERVAL, COUNT, END, MANUAL)
SIGNALS = (END, MANUAL)
_NUMBER = {INTERVAL: "minutes", COUNT: "count"}
"""What a condition that is a number says, by the trigger's type."""
_MANY = 100
"""Changes after which a checkpoint is due where a count is not told."""
LONGEST = 60 * 24 * 366 * 100
"""Minutes of the longest interval: a hundred years."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What makes an automatic checkpoint: some time, a number of changes, or a signal.

    `type` is time_interval, state_change_count, conversation_end or manual. `condition` is data: for a
    state_change_count the number of versions (100 unless told), for a time_interval the minutes, in place of the
    policy's; or a dict of `count` or `minutes`, `state_type` and `pattern` (a key, or a beginning and a star:
    "plan/*"), by which only such changes count. A signal with a condition makes a checkpoint only where such a change
    has come since the last one. Raises InvalidValue.
    """

    type: str
    condition: int | float | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.type not in TRIGGERS:
            raise InvalidValue(f"a trigger's type is {self.type!r:.80}; it is one of {', '.join(TRIGGERS)}")
        said = self._said()
        allowed = {"state_type", "pattern", _NUMBER.get(self.type, "pattern")}
        if unknown := sorted(map(str, said.keys() - allowed)):
            raise InvalidValue(f"the condition of {self.type} takes {', '.join(sorted(allowed))}, not {unknown[0]:.80}")
        if "count" in said:
            natural(said["count"], "the count of a trigger", 1)
        if "minutes" in said:
            minutes(said["minutes"])
        self.extent  # noqa: B018  (looked at, so that what it refuses is refused at once)
        if isinstance(self.condition, Mapping):
            object.__setattr__(self, "condition", MappingProxyType(dict(self.condition)))

    @property
    def count(self) -> int:
        """After how many changes."""
        return int(self._said().get("count", _MANY))

    @property
    def minutes(self) -> float | None:
        """After how many minutes; None as the policy says."""
        return self._said().get("minutes")

    @property
    def extent(self) -> Counted:
        """Which changes count."""
        said = self._said()
        try:
            of = tier(said["state_type"]) if "state_type" in said else None
            keys = _prefix(name(said["pattern"], "the pattern")) if "pattern" in said else None
        except InvalidKey as error:
            raise InvalidValue(f"the condition of a trigger: {error}") from None
        return Counted(of, keys)

    @property
    def is_narrow(self) -> bool:
        """Whether only some changes count."""
        return self.extent != Counted()

    def plain(self) -> dict[str, Any]:
        """Return the trigger as JSON."""
        condition = dict(self.condition) if isinstance(self.condition, Mapping) else self.condition
        return {"type": self.type, "condition": condition}

    def _said(self) -> Mapping[str, Any]:
        if self.condition is None:
            return {}
        if isinstance(self.condition, Mapping):
            return self.condition
        if self.type not in _NUMBER:
            raise InvalidValue(f"the condition of {self.type} is {self.condition!r:.80}; it is a dict, or None")
        return {_NUMBER[self.type]: self.condition}


@dataclass(frozen=True, slots=True)
class Counted:
    """The changes that count: of a tier or all, of keys in a range or all."""

    state_type: str | None = None
    keys: Glob | None = None

    def holds(self, at: Address) -> bool:
        """Tell whether a change of a key counts."""
        within = self.keys is None or self.keys.low <= at.key < self.keys.high
        return within and self.state_type in (None, at.state_type)

    def bounds(self) -> dict[str, str]:
        """Return the same as the bounds of two ranges."""
        low, high = ("", BEYOND) if self.keys is None else (self.keys.low, self.keys.high)
        first, last = ("", BEYOND) if self.state_type is None else (self.state_type, self.state_type)
        return {"low": low, "high": high, "first_type": first, "last_type": last}


@dataclass(frozen=True, slots=True)
class AutoCheckpoint:
    """When an agent's automatic checkpoints are made, and how many of them are kept: the newest `max_checkpoints`.

    Without triggers none is made. Raises InvalidValue.
    """

    enabled: bool = True
    interval_minutes: float = 30
    max_checkpoints: int = 10
    triggers: Iterable[Trigger] = field(default=())

    def __post_init__(self) -> None:
        if not isinstance(self.enabled, bool):
            raise InvalidValue(f"enabled is {self.enabled!r:.80}; it is True or False")
        minutes(self.interval_minutes)
        natural(self.max_checkpoints, "max_checkpoints", 1)
        given: Any = self.triggers
        if not isinstance(given, Iterable) or isinstance(given, str | bytes):
            raise InvalidValue("triggers is a list of Trigger")
        triggers = tuple(given)
        for each in triggers:
            if not isinstance(each, Trigger):
                raise InvalidValue(f"{each!r:.80} among the triggers is no Trigger")
        object.__setattr__(self, "triggers", triggers)

    def of(self, type: str) -> list[Trigger]:
        """Return the triggers of a type, none where the policy is not enabled."""
        return [each for each in self.triggers if each.type == type] if self.enabled else []

    def interval(self, trigger: Trigger) -> int:
        """Return the interval of a trigger, in microseconds."""
        told = trigger.minutes
        return max(1, round((self.interval_minutes if told is None else told) * 60_000_000))

    def plain(self) -> dict[str, Any]:
        """Return the policy as JSON."""
        numbers = {"interval_minutes": self.interval_minutes, "max_checkpoints": self.max_checkpoints}
        return {"enabled": self.enabled, **numbers, "triggers": [each.plain() for each in self.triggers]}


def text_of(config: AutoCheckpoint | None) -> str:
    """Return a policy as the store keeps it; None is that there is none any more."""
    return to_json(None if config is None else config.plain()).decode()


def read(text: str) -> AutoCheckpoint | None:
    """Return a policy from what the store keeps."""
    said = from_json(text)
    if said is None:
        return None
    return AutoCheckpoint(**{**said, "triggers": [Trigger(**each) for each in said["triggers"]]})


def minutes(given: Any) -> float:
    """Return a number of minutes. Raises InvalidValue."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= LONGEST:
        raise InvalidValue(f"an interval is {given!r:.80}; it is minutes above zero, {LONGEST:,} at most")
    return given


def _prefix(pattern: str) -> Glob:
    found = glob(pattern)
    if found.matches is not None:
        raise InvalidValue(f"the pattern {pattern!r:.80} is none a trigger takes: a key, or a beginning and a star")
    return found
