"""The command line: a client of the surface, which nothing else imports."""
