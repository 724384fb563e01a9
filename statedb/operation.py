"""An operation, and how a room shows it on a shell.

An operation is a plain function `fn(tx, …)`, written once. A room shows it on a shell: on `Store` a call returns the
value, on `AsyncStore` a coroutine of it, inside a transaction it joins that. The shell decides how to wait; the
function does not know.

    class States(Room[S]):
        set = write(states.set)

    store.states.set(…)  ──▶  shell.bind(operation)  ──▶  pipeline  ──▶  fn(tx, …)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from copy import copy
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, get_type_hints, overload

from statedb.db.tx import Tx
from statedb.errors import ReadOnly
from statedb.live.cache import Cache
from statedb.live.hub import AsyncHub, Hub

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)

Body = Callable[..., Any]


class Shell:
    """What a room stands on. It runs operations, each inside a transaction, and knows how to wait for that."""

    @property
    def hub(self) -> Hub | AsyncHub | None:
        """Where to wait for commits; None inside a transaction, for which nobody commits. Raises StoreClosed."""
        return None

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        """Return a callable that runs an operation with the arguments after `tx`."""
        raise NotImplementedError


Around = Callable[["Operation[..., Any]", Body], Body]
"""A stage of the pipeline: given an operation and the function that runs it, a function that runs it with more care."""


def refuse_writes(operation: Operation[..., Any], body: Body) -> Body:
    """Let no writing operation run in a transaction that only reads, such as one that shows the past."""
    if not operation.writes:
        return body

    def guarded(tx: Tx, /, *args: Any, **kwargs: Any) -> Any:
        if tx.note is None:
            raise ReadOnly(
                f"{operation.name} would write, and this store shows the past; write through the store itself"
            )
        return body(tx, *args, **kwargs)

    return guarded


PIPELINE: tuple[Around, ...] = (refuse_writes,)
"""What stands around every operation, outermost first."""


def through(operation: Operation[..., Any], stages: Iterable[Around] = PIPELINE) -> Body:
    """Return the function of an operation with the pipeline around it. Stages with nothing to do cost nothing."""
    body: Body = operation.fn
    for stage in reversed(tuple(stages)):
        body = stage(operation, body)
    return body


class Sync(Shell):
    """A shell whose calls return values."""

    @property
    def hub(self) -> Hub | None:
        """Where threads wait for commits; None inside a transaction."""
        return None


class Async(Shell):
    """A shell whose calls return coroutines."""

    @property
    def hub(self) -> AsyncHub | None:
        """Where tasks wait for commits; None inside a transaction. Raises StoreClosed."""
        return None


S_co = TypeVar("S_co", bound=Shell, covariant=True)


class Room(Generic[S_co]):
    """A group of operations on a shell. `scope` holds leading arguments a handle knows already."""

    scope: tuple[Any, ...] = ()

    def __init__(self, shell: S_co) -> None:
        self.shell = shell


class Operation(Generic[P, T]):
    """Show a plain function fn(tx, …) on a room."""

    writes = False
    single = False
    """One statement reads all it needs, so no snapshot has to be held around it."""
    alone = False
    """It makes commits of its own."""
    apart = False
    """It returns work that needs the transaction no more, and that work's result is what a caller gets."""
    hidden = 1
    """How many leading parameters of the function a caller does not give."""

    def __init__(self, fn: Callable[Concatenate[Tx, P], T]) -> None:
        self.fn: Callable[..., Any] = fn
        self.name = fn.__name__
        self.__doc__ = fn.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        signature = inspect.signature(self.fn)
        return signature.replace(parameters=list(signature.parameters.values())[self.hidden :])

    @overload
    def __get__(self, room: None, owner: type) -> Self: ...
    @overload
    def __get__(self, room: Room[Sync], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, room: Room[Async], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, room: Room[Any] | None, owner: type) -> Any:
        return self if room is None else _attach(self, room)


class read(Operation[P, T]):
    """An operation that only reads."""


class glance(Operation[P, T]):
    """An operation that reads with one statement: no snapshot is held around it, which halves its cost."""

    single = True


class cached(glance[P, T]):
    """A glance that memory may answer: `ahead` does, without a transaction, or returns `MISSING`."""

    def __init__(self, fn: Callable[Concatenate[Tx, P], T], ahead: Callable[Concatenate[Cache, P], T]) -> None:
        super().__init__(fn)
        self.ahead: Callable[..., Any] = ahead


class write(Operation[P, T]):
    """An operation that may write."""

    writes = True


class bulk(write[P, T]):
    """A writing operation that makes commits of its own, so it cannot join a transaction that makes one."""

    alone = True


class Work(Protocol[T_co]):
    """What remains to be done once a transaction is over."""

    def __call__(self) -> T_co:
        """Do it and return the result; on any thread."""
        ...

    def stop(self) -> None:
        """Break it off; from any thread."""
        ...


class apart(Operation[P, T]):
    """An operation that only reads, in two steps: what needs the transaction, and the work that needs it no more.

    A query may take ten seconds. In one step it would hold a snapshot open for so long, and on `AsyncStore`, which has
    one connection to read with, every other read would wait for it.
    """

    apart = True

    def __init__(self, fn: Callable[Concatenate[Tx, P], Work[T]]) -> None:
        super().__init__(fn)  # type: ignore[arg-type]

    @functools.cached_property
    def __signature__(self) -> inspect.Signature:
        work = get_type_hints(self.fn)["return"]
        return super().__signature__.replace(return_annotation=inspect.signature(work.__call__).return_annotation)


class either(Generic[P, T, U]):
    """Show one function of the shell on `Store` and another on `AsyncStore`: what is more than a transaction.

    A watch lasts, and who waits for a lock does so outside of any transaction. Both functions take the shell first.
    """

    def __init__(self, sync: Callable[Concatenate[Any, P], T], tasks: Callable[Concatenate[Any, P], U]) -> None:
        self._sync, self._tasks = sync, tasks
        self._name = sync.__name__
        self.__doc__ = sync.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, room: None, owner: type) -> Self: ...
    @overload
    def __get__(self, room: Room[Sync], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, room: Room[Async], owner: type) -> Callable[P, U]: ...
    def __get__(self, room: Room[Any] | None, owner: type) -> Any:
        if room is None:
            return self
        fn = self._tasks if isinstance(room.shell, Async) else self._sync
        shown = room.__dict__[self._name] = functools.partial(fn, room.shell)
        return functools.update_wrapper(shown, fn)


class Scoped(Generic[P, T]):
    """Show an operation on a handle that knows its first two arguments after `tx`."""

    def __init__(self, shown: Operation[Concatenate[str, Any, P], T]) -> None:
        self.operation = copy(shown)
        self.operation.hidden = 3
        self.__doc__ = shown.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.operation.name = name

    @overload
    def __get__(self, room: None, owner: type) -> Self: ...
    @overload
    def __get__(self, room: Room[Sync], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, room: Room[Async], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, room: Room[Any] | None, owner: type) -> Any:
        return self if room is None else _attach(self.operation, room)


def _attach(operation: Operation[..., Any], room: Room[Any]) -> Callable[..., Any]:
    """Bind an operation to a room's shell; the instance answers from now on, since this descriptor is no data one."""
    bound = room.shell.bind(operation)
    call = functools.partial(bound, *room.scope) if room.scope else bound
    shown = functools.update_wrapper(_named(call), operation.fn)
    del shown.__wrapped__
    shown.__name__ = operation.name
    shown.__signature__ = operation.__signature__  # type: ignore[attr-defined]
    room.__dict__[operation.name] = shown
    return shown


def _named(call: Callable[..., Any]) -> Any:
    """Return a function that can carry a name and a signature: a partial cannot be given a __name__."""
    if not isinstance(call, functools.partial):
        return call
    return lambda *args, **kwargs: call(*args, **kwargs)
