"""How a conflict is to be settled: by a rule with a name, by a function, or by either for each pattern of keys.

    given      "remote_wins" · fn(base, ours, theirs) · {"config/*": "ours", "log/*": fn}
    of a key   "theirs"      · fn                     · "ours" of config/theme, what else is the default

The same words serve a write over an unexpected version and a merge of branches. In a write ours is the caller's value
and theirs stands in the store; in a merge ours stands, and theirs is the merged branch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from statedb.errors import InvalidValue
from statedb.values.arguments import plain
from statedb.values.conflict import clashes_of
from statedb.values.glob import glob
from statedb.values.merge import Clash, Side, merge
from statedb.values.same import same
from statedb.values.typed import as_json

Resolve = Callable[[Any, Any, Any], Any]
"""What settles a conflict: fn(base, ours, theirs) returns the value; a side with none is `MISSING`."""

Rule = Literal["raise", "merge", "ours", "theirs", "manual"]
Synonym = Literal["local_wins", "remote_wins", "first_writer_wins", "last_writer_wins"]
Strategy = Rule | Synonym | Resolve | Mapping[str, Rule | Synonym | Resolve]
"""What a caller says; in a mapping of globs of keys the first that matches counts, and no match is the default."""

RULES: tuple[Rule, ...] = ("raise", "merge", "ours", "theirs", "manual")


def _meaning(stands: Side) -> dict[str, Rule]:
    """Return what each name means: who wrote first is whose value stands."""
    other: Side = "theirs" if stands == "ours" else "ours"
    return {
        **{rule: rule for rule in RULES},
        "local_wins": "ours",
        "remote_wins": "theirs",
        "first_writer_wins": stands,
        "last_writer_wins": other,
    }


def check(strategy: Any, what: str) -> None:
    """Raise InvalidValue where this is no strategy; `what` is the argument's name."""
    for pattern, each in strategy.items() if isinstance(strategy, Mapping) else [(None, strategy)]:
        if pattern is not None and (not isinstance(pattern, str) or not pattern):
            raise InvalidValue(f"{what} has the pattern {pattern!r:.80}; it is a glob of keys such as 'plan/*'")
        if callable(each):
            plain(each, what)
        elif not isinstance(each, str) or each not in _meaning("ours"):
            shown = f"{each!r:.80}" + ("" if pattern is None else f" for {pattern!r:.80}")
            names = ", ".join(_meaning("ours"))
            raise InvalidValue(f"{what} is {shown}; it is {names}, a function, or a dict of globs and those")


def of_key(strategy: Strategy, key: str, *, stands: Side, default: Rule) -> Rule | Resolve:
    """Return what a strategy that was checked says of one key: a rule by its first name, or a function.

    `stands` is the side whose value is in the store, which is the first writer's.
    """
    found: Any = strategy
    if isinstance(strategy, Mapping):
        found = next((each for pattern, each in strategy.items() if glob(pattern).takes(key)), default)
    meant: Rule | Resolve = found if callable(found) else _meaning(stands)[found]
    return meant


class Settled(NamedTuple):
    """What a key is to hold (MISSING: nothing), and how that came about.

    `clashes` are left open: then the value is what stands. `method` is the rule, or "function"; what was merged
    without a clash is "merge", whatever the rule for clashes. A person must look where something is left open.
    """

    value: Any
    clashes: tuple[Clash, ...]
    method: str

    @property
    def requires_manual_review(self) -> bool:
        """Whether a person must look."""
        return bool(self.clashes)


def settle(how: Rule | Resolve, base: Any, ours: Any, theirs: Any, *, stands: Side, whole: bool) -> Settled:
    """Settle what two sides made of one key.

    `whole` is for a write, in which a rule is about the value as a whole: ours is all of ours, a function is asked in
    any case, and what is manual is not merged first. Without it, as in a merge of branches, what only one side touched
    is kept in any case, and the rule or function is for where both did.
    """
    if same(ours, theirs) and not (whole and callable(how)):
        return Settled(theirs, (), "merge")
    merged = merge(base, ours, theirs, prefer="ours" if how == "ours" else "theirs")
    if how == "merge" or not whole:
        if not merged.conflicts and how != "raise":
            return Settled(merged.value, (), "merge")
        if not callable(how) and how in ("ours", "theirs"):
            return Settled(merged.value, (), how)
    if callable(how):
        return Settled(as_json(how(base, ours, theirs)), (), "function")
    if how == "ours" or how == "theirs":
        return Settled(ours if how == "ours" else theirs, (), how)
    return Settled(ours if stands == "ours" else theirs, clashes_of(base, ours, theirs), how)
