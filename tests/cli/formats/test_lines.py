from __future__ import annotations

import sys
from pathlib import Path

import pytest

from statedb.cli.exits import Refused
from statedb.cli.formats import batches
from statedb.cli.formats import lines as module
from statedb.cli.formats.lines import reading, writing

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _numbers(path: Path) -> list[list[int]]:
    with reading(str(path)) as lines:
        return [list(batch) for batch in lines.batches(int)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lines"


def test_lines_come_in_batches(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_ITEMS", 3)
    file.write_bytes(b"1\n2\n3\n4\n")
    assert _numbers(file) == [[1, 2, 3], [4]]


def test_a_batch_is_bounded_by_its_size_too(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_BYTES", 5)
    file.write_bytes(b"1\n2\n100000\n4\n")
    assert _numbers(file) == [[1, 2, 100000], [4]]


@pytest.mark.parametrize(("text", "read"), [(b"", []), (b"\n\n", []), (b"1\n\n 2 \r\n", [[1, 2]]), (b"1\n2", [[1, 2]])])
def test_empty_lines_and_a_missing_line_end_are_fine(file: Path, text: bytes, read: list[list[int]]) -> None:
    file.write_bytes(text)
    assert _numbers(file) == read


def test_what_is_compressed_is_known_by_its_content(file: Path) -> None:
    file.write_bytes(zstd.compress(b"1\n2\n") + zstd.compress(b"3\n"))
    assert _numbers(file) == [[1, 2, 3]]


def test_a_compressed_file_cut_short_is_refused(file: Path) -> None:
    file.write_bytes(zstd.compress(b"1\n" * 100)[:-3])
    with pytest.raises(Refused, match="does not decompress"):
        _numbers(file)


@pytest.mark.parametrize(
    ("text", "line"), [(b"1\n\nx\n", 3), (b"1\nNaN\n", 2), (b'1\n"\xff"\n', 2), (b"[1\n", 1), (b"1\n2 3\n", 2)]
)
def test_a_line_that_is_not_json_is_named(file: Path, text: bytes, line: int) -> None:
    file.write_bytes(text)
    with pytest.raises(Refused, match=f"^line {line} is not JSON"):
        _numbers(file)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 1000)
    file.write_bytes(zstd.compress(b"1\n" + b" " * 10_000_000))
    with pytest.raises(Refused, match="line 2 is longer than 1,000 bytes"):
        _numbers(file)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.zst"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    with writing(str(tmp_path / name)) as write:
        assert [write(1), write(22)] == [2, 3]
    assert _numbers(tmp_path / name) == [[1, 22]]
    assert (tmp_path / name).read_bytes().startswith(b"\x28\xb5\x2f\xfd") is name.endswith(".zst")


def test_a_file_that_is_not_finished_does_not_appear(tmp_path: Path) -> None:
    kept = tmp_path / "out"
    kept.write_bytes(b"before")

    def broken() -> None:
        with writing(str(kept)) as write:
            write(1)
            raise Refused("no more")

    with pytest.raises(Refused):
        broken()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("out", b"before")]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with writing(str(tmp_path / "link")) as write:
        write(1)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"1\n"


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    with writing("/dev/null") as write:
        write(1)
    assert Path("/dev/null").is_char_device()
