"""The buffer of writes that wait: what is read of it, and what is left, while some of them are being written."""

from __future__ import annotations

from statedb.live.buffer import Buffer, Write
from statedb.models import Address
from statedb.values.content import Content

AT = Address("a", "local", "k")


def write(value: int) -> Write:
    return Write(AT, Content(str(value), is_json=True), None, None, None)


def test_what_comes_while_an_older_one_is_written_is_newer_whatever_becomes_of_that() -> None:
    for failed in (False, True):
        buffer, old, new = Buffer(), write(1), write(2)
        buffer.put(old)
        assert buffer.take(None) == [[old]]
        assert (buffer.find(AT), len(buffer), buffer.close()) == (old, 1, False)
        buffer.put(new)
        assert (buffer.find(AT), len(buffer)) == (new, 1)
        buffer.left([old] if failed else [])
        assert (buffer.find(AT), len(buffer), buffer.close()) == (new, 1, False)
        assert buffer.take(AT) == [[new]]
        buffer.left([])
        assert (buffer.find(AT), len(buffer), buffer.close()) == (None, 0, True)
