"""States: the values as they stand, written and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import timedelta
from typing import Any

from statedb import times
from statedb.db import conflicts, guard, journal
from statedb.db.conflicts import Held
from statedb.db.cuts import in_range, settle
from statedb.db.entries import entry_of, held
from statedb.db.heads import Head
from statedb.db.journal import Expiry, Ttl
from statedb.db.tx import Tx
from statedb.db.versions import find_by_number
from statedb.errors import InvalidValue, VersionConflict
from statedb.models import MISSING, Address, Entry, Listing, StateType
from statedb.values import codec, strategy
from statedb.values.arguments import natural, plain, said
from statedb.values.codec import Encoded
from statedb.values.frozen import thawed
from statedb.values.glob import Glob, glob
from statedb.values.metadata import metadata_text
from statedb.values.names import address, name, tier
from statedb.values.patch import json_patch, merge_patch
from statedb.values.strategy import Resolve, Rule, Settled, Strategy
from statedb.values.typed import as_json

Lifetime = float | timedelta | None
"""Seconds or a timedelta; None for what the tier does by default, `math.inf` for ever."""


# ---- reading


def entry(tx: Tx, agent_id: str, state_type: str, key: str) -> Entry | None:
    """Return the value with its version, times and metadata, or None where there is none."""
    at = address(agent_id, state_type, key)
    head = tx.find(at)
    return None if head is None else entry_of(tx, at, head)


def exists(tx: Tx, agent_id: str, state_type: str, key: str) -> bool:
    """Tell whether there is a value."""
    return tx.value(address(agent_id, state_type, key)).codec is not None


def keys(tx: Tx, agent_id: str, state_type: str, pattern: str = "*", *, partial: bool = False) -> Listing[str]:
    """Return the keys that match a glob, in order of code points. `*` matches slashes too.

    In a past of which retention has cut some of them, raises Compacted, or with `partial` names those in `missing`.
    """
    wanted = glob(_pattern(pattern))
    of = name(agent_id, "agent_id"), tier(state_type)
    cut = _cut(tx, *of, wanted, partial)
    found = wanted.pick(tx.names(*of, wanted.low, wanted.high))
    return Listing([key for key in found if key not in cut] if cut else found, cut.values())


def items(
    tx: Tx, agent_id: str, state_type: str, pattern: str = "*", *, partial: bool = False
) -> Listing[tuple[str, Any]]:
    """Return (key, value) for the keys that match a glob, in order of code points.

    In a past of which retention has cut some of them, raises Compacted, or with `partial` names those in `missing`.
    """
    wanted = glob(_pattern(pattern))
    of = name(agent_id, "agent_id"), tier(state_type)
    cut = _cut(tx, *of, wanted, partial)
    found = tx.range(*of, wanted.low, wanted.high)
    picked = frozenset(wanted.pick([head.key for head in found])).difference(cut)
    if partial:
        erased = [head.key for head in found if head.codec == codec.ERASED and head.key in picked]
        cut |= {key: Address(agent_id, StateType(state_type), key) for key in erased}
        picked = picked.difference(erased)
    return Listing([(head.key, codec.decode(head.stored)) for head in found if head.key in picked], cut.values())


def get_many(tx: Tx, agent_id: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """Return the values of many (state_type, key), all of one moment; what is absent is left out."""
    found = {(each, key): tx.value(address(agent_id, each, key)) for each, key in wanted}
    return {where: codec.decode(stored) for where, stored in found.items() if stored.codec is not None}


def pick(tx: Tx, agent_id: str, state_type: str, wanted: Iterable[str]) -> dict[str, Any]:
    """Return the values of many keys of one tier, all of one moment; what is absent is left out."""
    found = get_many(tx, agent_id, [(state_type, key) for key in wanted])
    return {key: value for (_, key), value in found.items()}


def _cut(tx: Tx, agent_id: str, state_type: str, wanted: Glob, partial: bool) -> dict[str, Address]:
    """Return the names of the keys of a pattern that retention has cut at the point shown; Compacted unless partial."""
    if tx.point is None:
        return {}
    cuts = in_range(tx.db, tx.line, Address(agent_id, state_type, wanted.low), wanted.high, tx.point.revision)
    picked = frozenset(wanted.pick([cut.at.key for cut in cuts]))
    missing = settle([cut for cut in cuts if cut.at.key in picked], tx.point.revision, partial=partial)
    return {at.key: at for at in missing}


# ---- writing


def set(
    tx: Tx,
    agent_id: str,
    state_type: str,
    key: str,
    value: Any,
    *,
    expected_version: int | None = None,
    on_conflict: Strategy | None = None,
    ttl: Lifetime = None,
    fence: int | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Entry:
    """Write a value and return its entry.

    Without `expected_version` the last writer wins. With it the version must still be that one (0: no value), or
    `on_conflict` says what to do: raise VersionConflict, keep ours or theirs, merge by JSON path, ask a function, or
    (manual) record the conflict and return what stands; a dict says it by globs of keys. The same value with the same
    metadata makes no version. `ttl` in seconds, or the tier's default. `fence` is that of the caller's own lock: raises
    LockHeld where somebody holds the key to write it and this is not his, and Fenced where its lease has ended.
    """
    at = address(agent_id, state_type, key)
    how = _on_conflict(on_conflict, at, expected_version)
    expiry = _expiry(tx, ttl, Ttl.TIER)
    kept = _metadata(tx, metadata)
    found = as_json(value)
    # First of all, and whatever the conflict will make of it: a merge would walk into a value that is no JSON.
    encoded: Encoded | None = codec.encode(found, tx.settings.max_value_bytes)
    if expected_version is not None:
        guard.check_all(tx, [at], fence)  # which `put` does as well; but perhaps there will be nothing to put
    if expected_version is not None and (clash := _clash(tx, at, expected_version, found)):
        settled = _settle(clash, how)
        encoded = None if settled.value is MISSING else codec.encode(settled.value, tx.settings.max_value_bytes)
        if (encoded is None or how == "manual") and tx.head(at) is None:
            raise clash  # settled to no value where there never was one: nothing can be written, nothing returned
        if how == "manual" and settled.clashes:
            tx.writing.say(message)
            _record(tx, at, clash)
        if how in ("theirs", "manual"):
            return _standing(tx, at, clash)
        if how != "ours" and ttl is None:
            expiry = Ttl.KEEP
    tx.writing.say(message)
    return _put(tx, at, encoded, expiry, kept, fence)


def update(
    tx: Tx,
    agent_id: str,
    state_type: str,
    key: str,
    fn: Callable[[Any], Any],
    *,
    default: Any = None,
    ttl: Lifetime = None,
    fence: int | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Entry:
    """Read a value, pass it to `fn`, write what that returns, as one step against every thread and process.

    `fn` receives `default` where there is no value, and may be called again. Metadata and ttl stay the key's own unless
    told; the ttl restarts.
    """
    plain(fn, "update")
    at = address(agent_id, state_type, key)
    head = tx.find(at)
    guard.check(tx, at, fence)
    value = as_json(fn(deepcopy(default) if head is None else codec.decode(head.stored)))
    kept = _kept_metadata(tx, head, metadata)
    return _write(tx, at, value, _expiry(tx, ttl, Ttl.KEEP), kept, message, fence)


def patch(
    tx: Tx,
    agent_id: str,
    state_type: str,
    key: str,
    patch: Mapping[str, Any] | list[Any],
    *,
    ttl: Lifetime = None,
    fence: int | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Entry:
    """Change parts of a value: a dict is a merge patch (RFC 7386), a list a JSON patch (RFC 6902), all or nothing.

    An absent value is patched as null. InvalidValue where the patch does not apply, or the value is bytes.
    """
    at = address(agent_id, state_type, key)
    if not isinstance(patch, Mapping | list):
        raise InvalidValue(f"the patch is {type(patch).__name__}; it is a dict (merge patch) or a list (JSON patch)")
    given = patch if isinstance(patch, list) else dict(patch)
    codec.json_text(given, tx.settings.max_value_bytes)
    given = thawed(given)
    head = tx.find(at)
    if head is not None and not codec.is_json(head.stored):
        raise InvalidValue(f"{at.key} holds bytes, which have no parts to patch; use set")
    value = None if head is None else codec.decode(head.stored)
    changed = json_patch(value, given) if isinstance(given, list) else merge_patch(value, given)
    kept = _kept_metadata(tx, head, metadata)
    return _write(tx, at, changed, _expiry(tx, ttl, Ttl.KEEP), kept, message, fence)


def touch(tx: Tx, agent_id: str, state_type: str, key: str, *, ttl: Lifetime = None, fence: int | None = None) -> bool:
    """Restart a key's ttl, its own or a new one; False where there is no value. It is logged, but is no version."""
    return journal.touch(tx, address(agent_id, state_type, key), _expiry(tx, ttl, Ttl.KEEP), fence=fence)


def delete(
    tx: Tx,
    agent_id: str,
    state_type: str,
    key: str,
    *,
    expected_version: int | None = None,
    fence: int | None = None,
    message: str | None = None,
) -> bool:
    """Delete a value; its history stays, and the deletion is a version. True where something was there."""
    at = address(agent_id, state_type, key)
    head = tx.find(at)
    guard.check(tx, at, fence)
    if expected_version is not None and (clash := _clash(tx, at, expected_version, MISSING)):
        raise clash
    if head is None:
        return False
    tx.writing.say(message)
    journal.put(tx, at, None, fence=fence)
    return True


def take(tx: Tx, agent_id: str, state_type: str, key: str) -> Any:
    """Delete a value and return it, `MISSING` where there is none."""
    at = address(agent_id, state_type, key)
    head = tx.find(at)
    guard.check(tx, at)
    if head is None:
        return MISSING
    journal.put(tx, at, None)
    return codec.decode(head.stored)


def clear(tx: Tx, agent_id: str, state_type: str, pattern: str = "*", *, message: str | None = None) -> int:
    """Delete every key that matches a glob, in one commit; return how many there were."""
    found = keys(tx, agent_id, state_type, pattern)
    wanted = [Address(agent_id, tier(state_type), key) for key in found]
    guard.check_all(tx, wanted)
    tx.writing.say(message if found else None)
    for at in wanted:
        journal.put(tx, at, None)
    return len(found)


def set_many(
    tx: Tx,
    agent_id: str,
    state_type: str,
    values: Mapping[str, Any],
    *,
    ttl: Lifetime = None,
    fence: int | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Entry]:
    """Write many values of one tier in one commit, all or nothing; return their entries by key."""
    expiry, kept = _expiry(tx, ttl, Ttl.TIER), _metadata(tx, metadata)
    if not isinstance(values, Mapping):
        raise InvalidValue(f"the values are {type(values).__name__}; they are a dict of keys and values")
    limit = tx.settings.max_value_bytes
    encoded = [
        (address(agent_id, state_type, key), codec.encode(as_json(value), limit)) for key, value in values.items()
    ]
    guard.check_all(tx, [at for at, _ in encoded], fence)
    tx.writing.say(message)
    return {at.key: _put(tx, at, made, expiry, kept, fence) for at, made in encoded}


# ---- inside


def _write(
    tx: Tx,
    at: Address,
    value: Any,
    expiry: Expiry | Ttl,
    metadata: str | None,
    message: str | None,
    fence: int | None,
) -> Entry:
    encoded = codec.encode(value, tx.settings.max_value_bytes)
    tx.writing.say(message)
    return _put(tx, at, encoded, expiry, metadata, fence)


def _put(
    tx: Tx, at: Address, encoded: Encoded | None, expiry: Expiry | Ttl, metadata: str | None, fence: int | None
) -> Entry:
    staged = journal.put(tx, at, encoded, metadata=metadata, expiry=expiry, fence=fence)
    if staged is None:
        head = tx.head(at)
        assert head is not None, "only a key that exists can be settled to no value"
        return entry_of(tx, at, head)
    # Read back from what was encoded: an entry must not change with the object it was made of.
    made = entry_of(tx, at, staged.head, None if encoded is None else codec.parse(encoded))
    staged.entries.append(made)
    return made


def _clash(tx: Tx, at: Address, expected: int, ours: Any) -> VersionConflict | None:
    """Return the conflict between what the caller expected and what stands, None where they agree."""
    natural(expected, "expected_version")
    head = tx.head(at)
    standing = head if head is not None and tx.alive(head) else None
    version = standing.version if standing else 0
    if version == expected:
        return None
    base = find_by_number(tx, at, head, expected) if head and expected else None
    return VersionConflict(
        f"{at.key} ({at.state_type} of {at.agent_id}) {f'is at version {version}' if version else 'has no value'}, and "
        f"{f'version {expected}' if expected else 'no value'} was expected; read it again, or settle it by on_conflict",
        agent_id=at.agent_id,
        state_type=at.state_type,
        key=at.key,
        expected_version=expected,
        version=version,
        base=held(base.stored) if base else MISSING,
        ours=thawed(ours),
        theirs=held(standing.stored) if standing else MISSING,
    )


def _on_conflict(how: Strategy | None, at: Address, expected: int | None) -> Rule | Resolve:
    """Return what is to be done about a conflict over a key."""
    if how is None:
        return "raise"
    if expected is None:
        raise InvalidValue("on_conflict needs expected_version: without it there is nothing to conflict with")
    strategy.check(how, "on_conflict")
    return strategy.of_key(how, at.key, stands="theirs", default="raise")


def _settle(clash: VersionConflict, how: Rule | Resolve) -> Settled:
    """Return what a conflict is settled to, or raise it."""
    if how == "raise":
        raise clash
    settled = strategy.settle(how, clash.base, clash.ours, clash.theirs, stands="theirs", whole=True)
    if how == "merge" and settled.clashes:
        clash.conflicts = settled.clashes
        places = ", ".join(each.path or "the whole value" for each in settled.clashes[:5])
        clash.args = (f"{clash.args[0]}. Both sides changed {places}",)
        raise clash
    return settled


def _record(tx: Tx, at: Address, clash: VersionConflict) -> None:
    base = Held(clash.base, None if clash.base is MISSING else clash.expected_version, tx.branch)
    conflicts.record(tx, at, base, Held(clash.ours), Held(clash.theirs, clash.version or None, tx.branch))


def _standing(tx: Tx, at: Address, clash: VersionConflict) -> Entry:
    """Return the entry that stands; a tombstone's where theirs is that there is no value."""
    head = tx.head(at)
    if head is None:
        raise clash
    return entry_of(tx, at, head, None if clash.theirs is MISSING else clash.theirs)


def _expiry(tx: Tx, ttl: Lifetime, otherwise: Ttl) -> Expiry | Ttl:
    return otherwise if ttl is None else Expiry.after(tx.now, times.span(ttl))


def _metadata(tx: Tx, metadata: Mapping[str, Any] | None) -> str | None:
    return metadata_text(metadata, tx.settings.max_value_bytes)


def _kept_metadata(tx: Tx, head: Head | None, metadata: Mapping[str, Any] | None) -> str | None:
    return head.metadata if metadata is None and head is not None else _metadata(tx, metadata)


def _pattern(pattern: str) -> str:
    if said(pattern, "the pattern") is None:
        raise InvalidValue("the pattern is None; it is a glob such as 'plan/*'")
    return pattern
