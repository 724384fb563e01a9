"""What a value is, without a database and without a clock."""
