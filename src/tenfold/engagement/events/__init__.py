"""Events come in, are kept, and are found again."""
