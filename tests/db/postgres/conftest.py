"""A server's settings for the sessions of one database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from sqlalchemy.engine import make_url

from tests.postgres import connect


@pytest.fixture
def raw_setting(where: str) -> Iterator[Callable[[str, str], None]]:
    """raw_setting(name, value): what every session of the test's database begins with, from now on."""
    url = make_url(where)
    with closing(connect(url)) as link, ExitStack() as undo:

        def change(name: str, value: str) -> None:
            link.execute(f"alter database \"{url.database}\" set {name} = '{value}'".encode())
            undo.callback(link.execute, f'alter database "{url.database}" reset {name}'.encode())

        yield change
