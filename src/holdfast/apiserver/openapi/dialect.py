"""The two forms in which schemas are published."""

from __future__ import annotations

from enum import Enum


class Dialect(Enum):
    """The value is where references point."""

    V2 = "#/definitions/"
    V3 = "#/components/schemas/"
