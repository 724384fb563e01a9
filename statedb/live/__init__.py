"""What stands beside the log and is never the truth: the caches. Nothing here knows a database."""
