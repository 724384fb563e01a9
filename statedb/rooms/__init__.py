"""What users do, as plain functions over a transaction. A room may build on another's functions, as sessions do on
states; what is written goes through the journal alone."""
