"""What a kind's own rules say of an object, worked out once for all states that say the same.

Most updates leave alone what the rules read, and to validate a pod costs more than all the rest of its update. The
rules are functions of nothing but the object, so what they found once they find again. Nothing is trusted for having
been stored: what is not remembered is validated. And nothing can be overlooked: the rules are shown exactly that by
which their findings are remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from holdfast.api.errors import FieldError
from holdfast.api.resource import Manifest, Resource

REMEMBERED = 16_384
"""States; each takes some 200 bytes."""

NOT_SHOWN = frozenset({"labels", "managedFields", "resourceVersion"})
"""Metadata that a kind has no rules of its own for: labels have those of all kinds, the rest is the server's."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Verdicts:
    """Remembers findings, and counts what had to be worked out."""

    def __init__(self) -> None:
        self.flawless: set[bytes] = set()
        """Flawed states are not remembered: they are not stored, and do not come again."""
        self.warnings: dict[bytes, tuple[str, ...]] = {}
        self.validations = 0

    def of(self, resource: Resource, manifest: Manifest) -> Verdict:
        metadata = {name: part for name, part in manifest["metadata"].items() if name not in NOT_SHOWN}
        shown = {**manifest, "metadata": metadata}
        return Verdict(self, resource, shown, blake2b(_encode(shown), digest_size=16).digest())


class Verdict:
    """About one state of an object."""

    __slots__ = ("_content", "_resource", "_shown", "_verdicts")

    def __init__(self, verdicts: Verdicts, resource: Resource, shown: Manifest, content: bytes) -> None:
        self._verdicts = verdicts
        self._resource = resource
        self._shown = shown
        self._content = content

    def errors(self) -> Sequence[FieldError]:
        if self._resource.custom is not None:
            return self._resource.validate(self._shown)  # what is right today may be wrong by tomorrow's definition
        flawless = self._verdicts.flawless
        if self._content in flawless:
            return ()
        self._verdicts.validations += 1
        errors = self._resource.validate(self._shown)
        if not errors:
            if len(flawless) >= REMEMBERED:
                flawless.clear()
            flawless.add(self._content)
        return errors

    def warnings(self) -> Sequence[str]:
        """For a state without errors, or whose errors do not matter."""
        known = self._verdicts.warnings
        warnings = known.get(self._content)
        if warnings is None:
            if len(known) >= REMEMBERED:
                known.clear()
            warnings = known[self._content] = tuple(self._resource.warnings(self._shown))
        return warnings
