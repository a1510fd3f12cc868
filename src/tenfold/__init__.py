"""Tenfold: a multi-tenant customer-engagement platform."""
