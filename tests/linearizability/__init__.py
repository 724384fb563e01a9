"""Linearizability: whether operations that overlapped each took effect at one instant between call and return."""
