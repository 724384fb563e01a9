"""What a terminal is shown does not depend on the database."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)
