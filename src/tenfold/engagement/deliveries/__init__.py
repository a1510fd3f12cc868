"""The single way a message leaves, and what became of it."""
