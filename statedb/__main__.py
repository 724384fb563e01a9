"""`python -m statedb` is the command `statedb`."""

from statedb.cli.app import main

# Guarded: a process that multiprocessing spawns imports this module again.
if __name__ == "__main__":
    main()
