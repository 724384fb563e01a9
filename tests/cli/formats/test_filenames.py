from __future__ import annotations

import re
import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from statedb.cli.formats.filenames import key_of, names
from tests.strategies import json_texts

NASTY = [
    "a", "a/b", "a.json", "a.json/b", "a.JSON", "a.bin/c", "..", "../x", "./x", ".", "/abs", "/", "//", "a//b", "a/",
    "CON", "con.x", "aux ", "Nul.tar.gz/x", "COM¹", "com1", "com10", "con" + " " * 300,
    "trailing.", "trailing ", "dots...", "%", "%41", "%_", "x%+", "x%~2", "a%2Fb", "C:\\x", "a\\b", "a:b", "a*?",
    '<>|"', "new\nline", "\x01", "\x7f", "\x85", "é", "e\u0301", "É", "Readme", "readme", "README", "Readme/x",
    "readme/y", "K", "\u212a", "k", "ß", "ss", "İ", "i\u0307", "\u017f.j\u017fon", "-rf", "~", ".git/config",
    ".json", ".bin/.json", "😀" * 256, "x" * 1024, "." * 1024, "/" * 1024, "\n" * 1000,
    "x" * 200, "x" * 201, f"{'y' * 300}/{'Z' * 300}.json",
]  # fmt: skip

keys = st.one_of(
    st.sampled_from(NASTY),
    json_texts(40),
    st.text(st.sampled_from("aA./% ~+_\\2:éE\u0301"), max_size=12),
    st.text(st.sampled_from("abc."), min_size=150, max_size=400),
).filter(lambda key: key and "\0" not in key and len(key.encode()) <= 1024)

FORBIDDEN = re.compile(r'[\x00-\x1f<>:"\\|?*\x7f]|[. ]$')
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def _assert_good(given: list[str]) -> None:
    found = names(given)
    assert found.keys() == set(given)
    files = {path + ending for path in found.values() for ending in (".json", ".bin")}
    folders = {path[:at] for path in found.values() for at, char in enumerate(path) if char == "/"}
    for key, path in found.items():
        assert key_of(path) == key
        for part in f"{path}.json".split("/"):
            assert part
            assert not FORBIDDEN.search(part)
            assert not DEVICE.match(part)
            assert len(part.encode()) <= 230
    # However a system folds names: no two files are one, no two folders, and none is both.
    for form in ("NFC", "NFD"):
        folded = (unicodedata.normalize(form, unicodedata.normalize(form, path).casefold()) for path in files | folders)
        assert max(Counter(folded).values(), default=1) == 1


def test_nasty_keys_all_together_have_names_of_their_own() -> None:
    _assert_good(NASTY)


@given(st.lists(keys, max_size=12))
@example(["a", "a.json/x"])
@example(["a.j\u017fon/x", "a", "A.json"])
@example(["A/b", "a/B", "a/b", "A%~2/b"])
@example(["x" * 200, "x" * 201, "x" * 200 + "/", "x" * 200 + "%+/x"])
def test_any_keys_have_names_that_are_safe_their_own_and_lead_back(given: list[str]) -> None:
    _assert_good(given)


def test_names_are_as_the_page_says() -> None:
    shown = {
        "prefs/theme": "prefs/theme", "../x": "%2E%2E/x", "50%": "50%25", "a//b": "a/%_/b", "CON": "%43ON",
        "a.json": "a%2Ejson", "/abs": "%_/abs", "ünï ☃": "ünï ☃", ".git": ".git", "com10": "com10",
    }  # fmt: skip
    assert names(shown) == shown
    assert names(["Readme", "readme"]) == {"Readme": "Readme", "readme": "readme%~2"}
    assert names(["x" * 250]) == {"x" * 250: f"{'x' * 200}%+/{'x' * 50}"}


@pytest.mark.parametrize(
    ("path", "key"),
    [("100%", "100%"), ("%zz", "%zz"), ("a%2fb", "a/b"), ("%c3%A9", "é"), ("x%~02", "x%~02"), ("a%+b", "a%+b")],
)
def test_a_percent_sign_made_by_hand_stands_for_itself_where_it_begins_no_code(path: str, key: str) -> None:
    assert key_of(path) == key


def test_a_code_that_is_no_text_is_no_key() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        key_of("%FF")
