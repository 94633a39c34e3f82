"""Namespaces: what a new one is given, and the removal of all that is in one that goes."""
