"""Quotas: how much a workspace may have, by its own choice, the platform's ceiling and the defaults."""
