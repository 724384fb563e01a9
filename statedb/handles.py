"""Handles: one agent's tiers and sessions, taking the calls of `states` without the arguments they know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast, overload

from statedb.models import MISSING, Entry, Listing, StateType
from statedb.operation import Async, Room, S_co, Scoped, Sync, cached, glance, read, write
from statedb.rooms import sessions, states, value
from statedb.rooms.sessions import SessionScope
from statedb.values.names import name


class _Tier(Room[S_co]):
    get = Scoped(cached(value.get, value.ahead))
    entry = Scoped(glance(states.entry))
    exists = Scoped(glance(states.exists))
    _keys = Scoped(glance(states.keys))
    items = Scoped(glance(states.items))
    get_many = Scoped(read(states.pick))
    set = Scoped(write(states.set))
    patch = Scoped(write(states.patch))
    touch = Scoped(write(states.touch))
    delete = Scoped(write(states.delete))
    set_many = Scoped(write(states.set_many))
    clear = Scoped(write(states.clear))
    _modify = Scoped(write(states.update))
    _take = Scoped(write(states.take))

    def __init__(self, shell: S_co, agent_id: str, state_type: StateType) -> None:
        super().__init__(shell)
        self.scope = (name(agent_id, "agent_id"), state_type.value)


class _Session(Room[S_co]):
    get = Scoped(cached(sessions.get, sessions.ahead))
    entry = Scoped(glance(sessions.entry))
    exists = Scoped(glance(sessions.exists))
    _keys = Scoped(glance(sessions.keys))
    items = Scoped(glance(sessions.items))
    get_many = Scoped(read(sessions.get_many))
    set = Scoped(write(sessions.set))
    patch = Scoped(write(sessions.patch))
    touch = Scoped(write(sessions.touch))
    info = Scoped(read(sessions.info))
    delete = Scoped(write(sessions.delete))
    set_many = Scoped(write(sessions.set_many))
    close = Scoped(write(sessions.close))
    clear = Scoped(write(sessions.clear))
    _modify = Scoped(write(sessions.update))
    _take = Scoped(write(sessions.take))

    def __init__(self, shell: S_co, agent_id: str, scope: SessionScope) -> None:
        super().__init__(shell)
        self.scope = (name(agent_id, "agent_id"), scope)


class _Mapped:
    """What makes a synchronous handle a MutableMapping.

    Written out and registered rather than inherited: the abstract class would hide our `get`, `keys` and `items`, which
    take more than a mapping's, from type checkers. `keys` is a method here, since checkers ask for one in `dict(…)`.
    """

    def __getitem__(self: Any, key: str) -> Any:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self: Any, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self: Any, key: str) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self: Any, key: object) -> bool:
        return isinstance(key, str) and bool(self.exists(key))

    def keys(self: Any, pattern: str = "*", *, partial: bool = False) -> Listing[str]:
        """Return the keys that match a glob, in order of code points. `*` matches slashes too."""
        found: Listing[str] = self._keys(pattern, partial=partial)
        return found

    def __iter__(self: Any) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self: Any) -> int:
        return len(self.keys())

    def __eq__(self: Any, other: object) -> bool:
        if isinstance(other, _Mapped):
            return self is other or dict(self.items()) == dict(cast(Any, other).items())
        return dict(self.items()) == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of every mapping that can change

    def __bool__(self) -> bool:
        return True  # a handle on an empty tier is still a handle

    def values(self: Any) -> list[Any]:
        """Return the values, in the order of their keys."""
        return [value for _, value in self.items()]

    def setdefault(self: Any, key: str, default: Any = None) -> Any:
        """Return the value of a key, writing `default` first where there is none; a ttl restarts either way."""
        return self._modify(key, lambda value: default if value is MISSING else value, default=MISSING).value

    def pop(self: Any, key: str, default: Any = MISSING) -> Any:
        """Delete a key and return the value it had; `default`, or KeyError, where it had none."""
        found = self._take(key)
        if found is not MISSING:
            return found
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self: Any) -> tuple[str, Any]:
        """Delete the last key in order and return it with its value; KeyError where there is none."""
        for key in reversed(self.keys()):
            value = self._take(key)
            if value is not MISSING:
                return key, value
        raise KeyError("no keys")

    @overload
    def update(self, key: str, fn: Callable[[Any], Any], /, **options: Any) -> Entry: ...
    @overload
    def update(self, key: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any) -> None: ...
    def update(self: Any, key: Any = (), fn: Any = None, /, **more: Any) -> Any:
        """Read, pass to `fn` and write one key; or, as a mapping does, write many keys in one commit."""
        if fn is not None:
            return self._modify(key, fn, **more)
        self.set_many({**dict(key), **more})
        return None


class TierMap(_Mapped, _Tier[Sync]):
    """One agent's states of one tier, as a mapping with more."""


class SessionMap(_Mapped, _Session[Sync]):
    """One session's states, as a mapping with more."""


class AsyncTier(_Tier[Async]):
    """One agent's states of one tier."""

    keys = Scoped(glance(states.keys))
    update = Scoped(write(states.update))


class AsyncSession(_Session[Async]):
    """One session's states."""

    keys = Scoped(glance(sessions.keys))
    update = Scoped(write(sessions.update))


_mappings: Any = MutableMapping  # typeshed gives the abstract class no `register`
_mappings.register(TierMap)
_mappings.register(SessionMap)

Tier_co = TypeVar("Tier_co", covariant=True)
Session_co = TypeVar("Session_co", covariant=True)


class Agent(Generic[Tier_co, Session_co]):
    """One agent's states: `local`, `shared` and `persistent` as handles, and its sessions."""

    def __init__(
        self,
        agent_id: str,
        tier: Callable[[str, StateType], Tier_co],
        session: Callable[[str, SessionScope], Session_co],
    ) -> None:
        self.agent_id = name(agent_id, "agent_id")
        self._session = session
        self.local = tier(agent_id, StateType.LOCAL)
        self.shared = tier(agent_id, StateType.SHARED)
        self.persistent = tier(agent_id, StateType.PERSISTENT)

    def session(self, name: str, *, ttl: float | timedelta | None = None, sliding: bool = True) -> Session_co:
        """Return a handle on a session: keys that expire together, `ttl` seconds after the last write to any of them.

        With `sliding` False they do so that long after the first, and no write puts it off. Without a ttl the session
        keeps its own clock, or takes the tier's default. Nothing is written until a key is.
        """
        return self._session(self.agent_id, SessionScope.of(name, ttl, sliding))


SyncAgent = Agent[TierMap, SessionMap]
AsyncAgent = Agent[AsyncTier, AsyncSession]


def sync_agent(shell: Sync, agent_id: str) -> SyncAgent:
    """Return an agent's handles on a synchronous shell."""
    return Agent(agent_id, lambda a, t: TierMap(shell, a, t), lambda a, s: SessionMap(shell, a, s))


def async_agent(shell: Async, agent_id: str) -> AsyncAgent:
    """Return an agent's handles on an asynchronous shell."""
    return Agent(agent_id, lambda a, t: AsyncTier(shell, a, t), lambda a, s: AsyncSession(shell, a, s))
