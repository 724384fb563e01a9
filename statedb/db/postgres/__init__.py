"""A store on PostgreSQL: one schema of a database, shared by any number of machines."""
