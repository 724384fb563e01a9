"""Text as a terminal may be given it.

Keys, messages and values are anybody's, and may hold what moves the cursor, starts a new line or turns the direction of
writing. People see such characters escaped; `--json` in a pipe has them as they are.
"""

from __future__ import annotations

_C0, _C1 = range(0x20), range(0x7F, 0xA0)
_LINES = (0x2028, 0x2029)
_DIRECTIONS = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SURROGATES = range(0xD800, 0xE000)

_SHORT = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
_ESCAPED = {
    each: _SHORT.get(each, f"\\u{each:04x}") for part in (_C0, _C1, _LINES, _DIRECTIONS, _SURROGATES) for each in part
}
_IN_JSON = {each: escape for each, escape in _ESCAPED.items() if each >= 0x7F}


def one_line(text: str) -> str:
    """Return a text with all that is not to be shown as it is escaped, line ends included."""
    return text.translate(_ESCAPED)


def safe_json(text: str) -> str:
    """Return JSON text that means the same and is safe to show."""
    return text.translate(_IN_JSON)


def shortened(text: str, length: int) -> str:
    """Return at most `length` characters of a text, an ellipsis for the rest."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def counted(number: int, noun: str) -> str:
    """Return a number with what it counts."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
