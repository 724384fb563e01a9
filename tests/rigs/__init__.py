"""Rigs: programs that put a store under load, kill what serves it, and count what came out."""
