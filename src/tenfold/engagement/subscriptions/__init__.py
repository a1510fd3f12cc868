"""Which messages a user agreed to receive."""
