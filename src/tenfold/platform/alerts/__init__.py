"""Alerts: quotas nearly or wholly used, events that wait too long, too many errors; told by mail and webhook."""
