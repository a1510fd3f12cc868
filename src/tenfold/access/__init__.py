"""The routes of access: members, roles, keys, secrets, signing in, the audit log."""
