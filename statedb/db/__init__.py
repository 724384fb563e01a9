"""The relational side: tables, statements, transactions. Dialects are named here and nowhere else."""
