"""What statedb on PostgreSQL costs over psycopg doing the same rows, on one server in one run."""

from benchmarks import live
from benchmarks.postgres import processes, reads, together, writes
from benchmarks.postgres.sample import template
from benchmarks.postgres.server import Server
from benchmarks.rounds import Row, Sizes

__all__ = ["Server", "measure"]


def measure(server: Server, sizes: Sizes) -> list[Row]:
    """Run everything that is measured on a server and return the rows."""
    made = template(server, sizes.keys)
    by_hand = [row for part in (reads, writes, together, processes) for row in part.rows(made, sizes)]
    return by_hand + live.rows(server.create("live"), sizes)
