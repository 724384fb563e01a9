"""What statedb costs over raw sqlite3 and aiosqlite doing the same rows, in one run: `python -m benchmarks`."""
