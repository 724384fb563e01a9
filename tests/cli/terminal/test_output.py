from __future__ import annotations

import errno
import io
from typing import Any

import pytest

from statedb.cli.formats.lines import writing
from statedb.cli.terminal import output


class Short(io.RawIOBase):
    """An output without a buffer, which takes a part of what it is given until it is full."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.got = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        part = bytes(data[: min(3, self._most - len(self.got))])
        if not part:
            return self._full()
        self.got += part
        return len(part)

    def _full(self) -> int | None:
        raise OSError(errno.ENOSPC, "full")


class Unready(Short):
    """An output that would have to be waited for."""

    def _full(self) -> int | None:
        return None


def _stands_for_stdout(made: Short, monkeypatch: pytest.MonkeyPatch) -> Short:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(made, write_through=True))  # type: ignore[type-var]
    return made


def test_an_output_without_a_buffer_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = _stands_for_stdout(Short(100), monkeypatch)
    output.raw(b"")
    output.raw(b"0123456789")
    with writing(None) as write:
        assert write("abcdef") == 9
    assert made.got == b'0123456789"abcdef"\n'


@pytest.mark.parametrize(("kind", "code"), [(Short, errno.ENOSPC), (Unready, errno.EAGAIN)])
def test_an_output_without_a_buffer_that_takes_no_more_is_an_error(
    kind: type[Short], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _stands_for_stdout(kind(5), monkeypatch)
    with pytest.raises(OSError) as caught:  # noqa: PT011  (told by its number)
        output.raw(b"0123456789")
    assert (caught.value.errno, made.got) == (code, b"01234")
    with pytest.raises(OSError), writing("-") as write:  # noqa: PT011
        write("abcdef")


def test_a_line_of_json_is_safe_to_show_and_left_alone_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, piped = Short(100), Short(100)
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    _stands_for_stdout(shown, monkeypatch)
    output.json_line({"a": "\x9b2J"})
    monkeypatch.setattr(output, "is_terminal", lambda: False)
    _stands_for_stdout(piped, monkeypatch)
    output.json_line({"a": "\x9b2J"})
    assert (shown.got, piped.got) == (b'{"a":"\\u009b2J"}\n', b'{"a":"\xc2\x9b2J"}\n')
