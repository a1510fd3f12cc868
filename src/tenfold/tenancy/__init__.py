"""Who may touch what: scopes, the door to the stores, workspaces, keys. Knows nothing of messages."""
