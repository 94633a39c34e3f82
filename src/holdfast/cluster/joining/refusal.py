"""Why a machine cannot join."""

from __future__ import annotations


class CannotJoin(Exception):
    """One line for people: what is wrong, and what to do next."""
