"""A way to a PostgreSQL server that can be slow, and that breaks where a test says so.

What a client sends comes in bursts: all that it writes before it has to wait for an answer. A cut is at one of those,
and does to it what networks do:

    before     it never arrives
    torn       half of it arrives
    at once    it arrives, and nobody waits for the answer
    after      it arrives and is answered, and the answer gets lost
    late       it arrives when everybody thinks that it got lost
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from tests.helpers import HANG

CUTS = ("before", "torn", "at once", "after", "late")
_READY = b"Z\x00\x00\x00\x05"
"""How the message begins that ends the server's answer to a burst; one byte follows."""

_WAITS = (b"S", b"Q", b"H", b"X", b"p")
"""Sync, query, flush, terminate, password."""

_PATIENCE = 1.0
"""Seconds a burst waits for a late one before it to be answered, which it is not where that waits for what we hold."""


@dataclass
class Cut:
    """A break to come: at the nth burst from now on."""

    how: str
    left: int
    later: int | None = None
    """After how many more bursts a late one arrives by itself."""
    fired: threading.Event = field(default_factory=threading.Event)
    deliver: threading.Event = field(default_factory=threading.Event)
    """Set by the test, once a late burst may arrive."""
    delivered: threading.Event = field(default_factory=threading.Event)
    """Set once it has arrived and the server has done with it what it does."""


class Proxy:
    """A port of 127.0.0.1 that leads to a server at (folder of its socket, port), with `delay` seconds each way."""

    def __init__(self, server: tuple[str, int], *, delay: float = 0.0) -> None:
        self.delay = delay
        self._server = f"{server[0]}/.s.PGSQL.{server[1]}"
        self._guard = threading.Lock()
        self._cut: Cut | None = None
        self._late: Cut | None = None
        self._lines: list[Line] = []
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._door.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits at it
        self._acceptor.join(HANG)
        self._door.close()
        self.break_all()
        for line in self._lines:
            line.join()

    def cut(self, how: str, nth: int, later: int | None = None) -> Cut:
        """Have the way break at the nth burst from now on, counted over all connections.

        A late burst arrives once the test says so, or just before the burst that comes `later` bursts after it.
        """
        with self._guard:
            self._cut = Cut(how, nth, later)
            return self._cut

    def mend(self) -> bool:
        """Take back a cut that was not reached; False where one was, though it may not have fired yet."""
        with self._guard:
            pending, self._cut, self._late = self._cut is not None, None, None
            return pending

    def break_all(self) -> None:
        """Break every connection there is."""
        for line in list(self._lines):
            line.end()

    def reached(self) -> Cut | None:
        """Count a burst, and return the cut that is at it."""
        with self._guard:
            late = self._late
            if late is not None and late.later is not None:
                late.later -= 1
                if late.later <= 0:
                    self._late = None
                    late.deliver.set()
                    late.delivered.wait(_PATIENCE)
            if self._cut is None:
                return None
            self._cut.left -= 1
            if self._cut.left:
                return None
            cut, self._cut = self._cut, None
            self._late = cut
            return cut

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._server)
            except OSError:
                client.close()
                server.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            over = {line for line in self._lines if line.over()}  # asked once: a line may end meanwhile
            for line in over:
                line.join()
            self._lines = [line for line in self._lines if line not in over] + [Line(self, client, server)]


class Line:
    """One connection through the proxy, carried by a thread each way."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._muted = False
        self._answered = threading.Event()
        self._hung_up = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._carry_up, self._carry_down)]
        for thread in self._threads:
            thread.start()

    def over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def end(self) -> None:
        for each in (self._client, self._server):
            _shut(each)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(HANG)
        self._client.close()
        self._server.close()

    def _carry_up(self) -> None:
        for burst in slowly(_whole(_arriving(self._client)), self._proxy.delay):
            cut = self._proxy.reached()
            if cut is not None:
                self._break(cut, burst)
                break
            if not _send(self._server, burst):
                break
        self.end()

    def _carry_down(self) -> None:
        for burst in slowly(_arriving(self._server), self._proxy.delay):
            if self._muted:
                if burst[-6:-1] == _READY:
                    self._answered.set()
            elif not _send(self._client, burst):
                break
        self._answered.set()
        self._hung_up.set()
        _shut(self._client)

    def _break(self, cut: Cut, burst: bytes) -> None:
        self._muted = True
        if cut.how in ("at once", "after"):
            _send(self._server, burst)
        elif cut.how == "torn":
            _send(self._server, burst[: len(burst) // 2])
        if cut.how == "after":
            self._answered.wait(HANG)
        cut.fired.set()
        _shut(self._client)
        if cut.how == "late":
            cut.deliver.wait(HANG)
            _send(self._server, burst)
            with suppress(OSError):
                # Not every burst is answered as if it were the last of its kind: what tells that the server has
                # worked through this one is that it finds the end behind it, and hangs up.
                self._server.shutdown(socket.SHUT_WR)
            self._hung_up.wait(HANG)
        self.end()
        cut.delivered.set()


def slowly(bursts: Iterator[bytes], delay: float) -> Iterator[bytes]:
    """Yield what comes, each a while after it came."""
    if not delay:
        yield from bursts
        return
    under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def take() -> None:
        for burst in bursts:
            under_way.put((time.monotonic() + delay, burst))
        under_way.put((0.0, b""))

    threading.Thread(target=take, daemon=True).start()
    while True:
        due, burst = under_way.get()
        if not burst:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        yield burst


def _arriving(source: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while found := source.recv(1 << 20):
            yield found


def _whole(arriving: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole bursts: they end with a message after which a client waits. A message is type, length, and the rest.

    The first ones of a connection, which ask for encryption or say who is there, have no type.
    """
    burst, begun, at = b"", False, 0
    for found in arriving:
        burst += found
        ends = 0
        while len(burst) >= at + 5:
            if not begun and burst[at]:
                begun = True
            length = int.from_bytes(burst[at + begun : at + begun + 4])
            if len(burst) < at + begun + length:
                break
            if not begun or burst[at : at + 1] in _WAITS:
                ends = at + begun + length
            at += begun + length
        if ends:
            yield burst[:ends]
            burst, at = burst[ends:], at - ends
    if burst:
        yield burst


def _send(sink: socket.socket, burst: bytes) -> bool:
    try:
        sink.sendall(burst)
    except OSError:
        return False
    return True


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
