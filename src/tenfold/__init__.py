"""Tenfold: a multi-tenant customer-engagement platform."""

from importlib.metadata import version

__version__ = version("tenfold")
