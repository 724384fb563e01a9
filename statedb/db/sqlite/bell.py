"""The bell: a small file beside the store that is written to after each commit, while anybody listens.

    writer:    commit ──▶ does it hang there? (looked for once in a tenth of a second) ──▶ 8 bytes, 1 µs
    listener:  hangs it up ──▶ inotify ──▶ ring        and looks at `pragma data_version` in case nobody rang

From commit to a handler in another process it takes 0.8 to 1.2 ms (p50, two cores with five times the work they can
do), where looking every 5 ms takes 3.8, and 1.7 % of a core instead of 0.03 while nothing happens. The log of SQLite
itself is no bell: it is written before the commit can be seen.

Who listens holds a shared flock on the bell; who is the last to leave gets it alone, and takes the bell down. A killed
one leaves it hanging, which costs writers 1 µs, until the next one leaves. A bell that does not reach its listener (a
file system without inotify, a writer that does not know of bells) is found out by looking: then every 5 ms. One that
somebody deleted is hung up again. A file of that name that is no bell is not touched: it is looked, then.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from statedb.db.fork import remember

SEEN = 0.1
"""Seconds within which a writer that goes on notices a bell, or that it is gone."""

FAST, SLOW = 0.005, 0.5
"""Seconds between two looks while the bell is in doubt, and while it is not."""
DOUBT = 10.0
"""Seconds for which it is in doubt once it was found not to have been rung."""
_AT_FIRST = 3 * SEEN
"""Seconds for which it is in doubt at first: writers have not noticed it yet."""

_STROKE = b"statedb\n"
_MODIFIED = 0x2  # IN_MODIFY of <sys/inotify.h>


def beside(path: str) -> str:
    """Return where a store's bell hangs. Links to a store share it, as they share SQLite's log."""
    return f"{os.path.realpath(path)}-bell"


class Bell:
    """A writer's end. Any thread may ring."""

    def __init__(self, path: str) -> None:
        self._path = beside(path)
        self._file: int | None = None
        self._look = 0.0
        self._lock = threading.Lock()  # the file must not be closed, and its number given to another, under a thread
        remember(self)

    def ring(self) -> None:
        """Ring, if there is a bell."""
        with self._lock:
            now = monotonic()
            if now >= self._look:
                self._look = now + SEEN
                self._find()
            if self._file is not None:
                with suppress(OSError):  # a full disk, say: who listens looks by himself
                    os.pwrite(self._file, _STROKE, 0)

    def close(self) -> None:
        """Let go of it. A ring after that looks for it once more."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file, self._look = None, 0.0

    def __del__(self) -> None:
        self.close()

    def forsake(self) -> object:
        """Let go of it in a child process."""
        self._lock = threading.Lock()
        self.close()
        return None

    def _find(self) -> None:
        with suppress(OSError):
            if self._file is not None and not os.fstat(self._file).st_nlink:
                os.close(self._file)
                self._file = None
            if self._file is None and sys.platform == "linux":
                _refuse_other(self._path)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)


def ringing(ring: Callable[[], None], bell: Bell | None) -> Callable[[], None]:
    """Return what tells those of this store, and those of other processes, that something was committed."""
    if bell is None:
        return ring

    def both() -> None:
        ring()
        bell.ring()

    return both


class Hearing:
    """A listener's end: what is heard of a store's bell, and looked at in case nobody rings it."""

    failures: tuple[type[Exception], ...] = ()

    def __init__(self, path: str, stamp: Callable[[], int | None]) -> None:
        self._store, self._path, self._stamp = path, beside(path), stamp
        self._file: int | None = None
        self._inotify: int | None = None
        self._proven = False
        self._doubted = 0.0
        self._last: int | None = None

    def open(self) -> int | None:
        self._changed()
        self._doubted = monotonic() + _AT_FIRST
        if sys.platform != "linux":  # no inotify: it looks
            return None
        try:
            self._inotify = _listening()
            self._hang_up()
        except OSError:  # a folder that cannot be written, or no inotify to be had: it looks, then
            self.close()
        return self._inotify

    def _hang_up(self) -> None:
        self._file = _hung_up(self._path, self._store)
        _watch(self._inotify, self._path)
        os.pwrite(self._file, _STROKE, 0)
        self._proven = self.heard()

    def heard(self) -> bool:
        assert self._inotify is not None
        try:
            os.read(self._inotify, 4096)
        except BlockingIOError:
            return False
        self._changed()  # whoever is woken by this ring will see what has been committed by now
        return True

    def patience(self) -> float:
        return SLOW if self._proven and monotonic() >= self._doubted else FAST

    def look(self) -> bool:
        if self._file is not None and not os.fstat(self._file).st_nlink:
            self._replace()
            return True
        if not self._changed():
            return False
        self._doubted = monotonic() + DOUBT
        return True

    def _replace(self) -> None:
        """Hang up another bell where somebody has deleted this one, on the same descriptor, which is waited for."""
        gone, self._file, self._proven = self._file, None, False
        self._changed()
        self._doubted = monotonic() + _AT_FIRST
        if gone is not None:
            os.close(gone)
        with suppress(OSError):  # the folder is gone too, say: it looks, then
            self._hang_up()

    def _changed(self) -> bool:
        before, stamp = self._last, self._stamp()
        self._last = before if stamp is None else stamp
        return before != self._last

    def close(self) -> None:
        if self._file is not None:
            _take_down_if_last(self._file, self._path)
        self.abandon()

    def abandon(self) -> object:
        # A copy of a descriptor: that the child closes it leaves the parent's, and the lock on it, as they are.
        for each in (self._file, self._inotify):
            if each is not None:
                os.close(each)
        self._file = self._inotify = None
        return None


def _hung_up(path: str, store: str) -> int:
    """Return the bell, opened and locked against being taken down; whoever may write the store may ring it."""
    import fcntl

    mode = os.stat(store).st_mode & 0o666
    while True:
        with suppress(FileNotFoundError):
            _refuse_other(path)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
            if os.fstat(file).st_nlink:
                with suppress(PermissionError):  # somebody else's, who has done so
                    os.fchmod(file, mode)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # taken down between the two


def _take_down_if_last(file: int, path: str) -> None:
    import fcntl

    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file), os.stat(path)):  # not another's, hung up where this was taken down
            os.unlink(path)


def _refuse_other(path: str) -> None:
    """Raise OSError for what is no bell: a stroke would spoil it (another store, say), opening a pipe would wait."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_size not in (0, len(_STROKE)):
        raise FileExistsError(path)


# Two calls of the C library, to which the package inotify_simple would come down as well.


def _listening() -> int:
    """Return an inotify descriptor that watches nothing yet. Raises OSError."""
    import ctypes  # who only writes a store has no use for it

    made: int = ctypes.CDLL(None, use_errno=True).inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if made < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    return made


def _watch(inotify: int | None, path: str) -> None:
    """Have an inotify descriptor read once a file was written to. Raises OSError."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).inotify_add_watch(inotify, os.fsencode(path), _MODIFIED) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch")
