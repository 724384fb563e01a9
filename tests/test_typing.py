"""The public surface as type checkers see it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("typing_cases.py")


def test_mypy_strict_agrees_with_every_typing_case() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy", str(CASES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_typing_case_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong_cases.py"
    wrong.write_text(CASES.read_text().replace('"k"), bool)', '"k"), str)'))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(wrong)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "[assert-type]" in done.stdout
