"""Drivers: PostgreSQL, ClickHouse, migrations. They know nothing of workspaces."""
