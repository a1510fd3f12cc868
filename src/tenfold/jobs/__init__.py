"""Durable work between slices: enqueue in a transaction, claim fairly, run, retry."""
