"""Keys as the names of files, and back.

A key is anybody's text; a name has to be safe on every system, inside its folder, and no other key's. The parts between
slashes are folders, and in them stands for itself what is safe; all else is percent-encoded UTF-8:

    prefs/theme   prefs/theme         ../x     %2E%2E/x         50%     50%25
    a//b          a/%_/b              CON      %43ON            a.json  a%2Ejson

    %_    is an empty part
    …%+   at the end of a folder: the part was too long for one name and goes on inside
    …%~2  the second of two keys that a system may take for one, such as Readme and readme, or an é of one and of two
          code points

None of these can be mistaken for a key's own text, whose percent signs are encoded; and in a name made by hand a
percent sign that begins nothing known is just one. What no name can help against: a disk (HFS+, say) that changes the
code points of the names it is given.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

ENDINGS = (".json", ".bin")
"""What files of JSON and of bytes end in."""

LONGEST = 200
"""Bytes of a name. Systems take 255; the rest is for an ending, a number, and what is added while a file is written."""

_EMPTY, _MORE, _AGAIN = "%_", "%+", "%~"

_NUMBER = re.compile(r"%~[1-9][0-9]{0,8}$", re.ASCII)
_UNSAFE = [chr(each) for each in (*range(0x20), *range(0x7F, 0xA0))] + list('%<>:"\\|?*')
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}
"""Names that Windows takes for devices, whatever follows a dot."""


def names(keys: Iterable[str]) -> dict[str, str]:
    """Return the path of each key's file, without its ending. No two are one file on any system."""
    found: dict[str, str] = {}
    taken: Counter[str] = Counter()
    made: dict[str, str] = {}
    for key in sorted(keys):
        path = ""
        for part in _parts(key):
            wanted = path + part
            if wanted not in made:
                taken[_folded(wanted)] += 1
                made[wanted] = _numbered(wanted, taken[_folded(wanted)])
            path = made[wanted]
        found[key] = path
    return found


def key_of(path: str) -> str:
    """Return the key of a path without its ending. ValueError for one whose percent signs make no text."""
    key = ""
    for folder in path.split("/"):
        name = _NUMBER.sub("", folder)
        goes_on = name.endswith(_MORE)
        key += "" if name == _EMPTY else unquote(name.removesuffix(_MORE), errors="strict")
        key += "" if goes_on else "/"
    return key.removesuffix("/")


# ---- inside


def _parts(key: str) -> Iterator[str]:
    """Return the names a key is made of, folders with their slash."""
    *folders, last = key.split("/")
    for folder in folders:
        yield from (f"{name}/" for name in _pieces(folder))
    *longer, name = _pieces(last)
    yield from (f"{each}/" for each in longer)
    yield name


def _pieces(part: str) -> Iterator[str]:
    """Return a part of a key as one name, or as several that go on in each other."""
    while _size(name := _name(part)) > LONGEST:
        cut = next(length for length in range(LONGEST, 0, -1) if _size(_name(part[:length])) <= LONGEST)
        yield _name(part[:cut]) + _MORE
        part = part[cut:]
    yield name


def _size(name: str) -> int:
    return len(name.encode())


def _name(part: str) -> str:
    """Return a name for a part of a key: safe, and unlike that of any other part."""
    if not part:
        return _EMPTY
    name = part.translate(_ESCAPED)
    kept = name.rstrip(". ")  # Windows drops them, and a name of dots alone is another folder
    name = kept + "".join(map(_escape, name[len(kept) :]))
    if name.split(".")[0].rstrip().upper() in _DEVICES:
        name = _escape(name[0]) + name[1:]
    if name.casefold().endswith(ENDINGS):  # else the folder of a.json/x were the file of a
        dot = name.rindex(".")
        name = name[:dot] + _escape(".") + name[dot + 1 :]
    return name


def _escape(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


_ESCAPED = {ord(each): _escape(each) for each in _UNSAFE}


def _numbered(path: str, number: int) -> str:
    if number == 1:
        return path
    slash = "/" if path.endswith("/") else ""
    return f"{path.removesuffix('/')}{_AGAIN}{number}{slash}"


def _folded(path: str) -> str:
    """Return what the most forgetful of systems makes of a path: the same for all it may take for one."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", path).casefold())
