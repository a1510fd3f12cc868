"""How a message leaves: providers by channel."""
