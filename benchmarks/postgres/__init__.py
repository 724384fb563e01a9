"""What statedb on PostgreSQL costs over psycopg doing the same rows, in the same run as the figures for SQLite."""
