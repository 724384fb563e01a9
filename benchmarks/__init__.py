"""What statedb costs over doing the same rows by hand, on each database, in one run: `python -m benchmarks`."""
