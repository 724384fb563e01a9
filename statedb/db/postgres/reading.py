"""What only reads, written once for both shells: it is done again where its connection turns out to be gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from statedb.db.context import Context
from statedb.db.engine import Body
from statedb.db.postgres.connection import Connection
from statedb.db.postgres.port import Port, persistently
from statedb.db.postgres.site import Driver
from statedb.db.tx import Tx

T = TypeVar("T")


def glance(port: Port, context: Context, body: Body) -> object:
    """Run a function that reads with a single statement, which is a snapshot of its own."""
    return _on_a_connection(port, lambda driver: body(Tx(Connection(driver, port.site), context)))


def read(port: Port, context: Context, body: Body) -> object:
    """Run a function that reads, on one snapshot."""

    def look(driver: Driver) -> object:
        connection = Connection(driver, port.site)
        connection.begin_read()
        try:
            return body(Tx(connection, context))
        finally:
            connection.rollback()

    return _on_a_connection(port, look)


def _on_a_connection(port: Port, look: Callable[[Driver], T]) -> T:
    def once() -> T:
        driver = port.borrow()
        try:
            return look(driver)
        finally:
            port.give_back(driver)

    return persistently(port, once)
