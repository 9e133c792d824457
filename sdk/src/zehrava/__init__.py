"""Zehrava: the gate in front of what AI agents want to do."""

__version__ = "0.1.0"
