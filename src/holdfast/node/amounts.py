"""Quantities as numbers that can be added."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.api import quantity

Amounts = dict[str, int]
"""CPU in thousandths, everything else in whole units."""


def amounts(quantities: Mapping[str, str]) -> Amounts:
    return {name: quantity.milli(text) if name == "cpu" else quantity.whole(text) for name, text in quantities.items()}
