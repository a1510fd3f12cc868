"""Paths that users walk: definitions, runs, steps."""
