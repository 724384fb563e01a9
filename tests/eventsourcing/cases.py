"""The package's test cases, imported without the cipher that none of them needs here: it would be 16 MB more."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType

if find_spec("Crypto") is None:
    cipher = ModuleType("eventsourcing.cipher")
    cipher.AESCipher = object  # type: ignore[attr-defined]
    sys.modules.setdefault("eventsourcing.cipher", cipher)

from eventsourcing.tests import persistence as cases

__all__ = ["cases"]
