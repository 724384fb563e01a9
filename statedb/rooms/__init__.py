"""What users do, as plain functions over a transaction. Rooms never import each other's surface, only each other's
plain parts below `statedb.db`."""
