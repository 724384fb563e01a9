"""Which thread this is: its ident would not do, since a new thread may have that of one that died."""

from __future__ import annotations

import threading


class _Me(threading.local):
    def __init__(self) -> None:
        self.token = object()


_me = _Me()


def me() -> object:
    """Return what stands for the running thread, and for no other, ever."""
    return _me.token
