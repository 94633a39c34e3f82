"""What an explanation is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.api.resource import Manifest


@dataclass(frozen=True, slots=True)
class Cause:
    """One link: what is wrong with `subject`, in a sentence; and either the link below it, or how to cure it."""

    subject: str
    """As kubectl writes it: `pod/web-0`."""
    says: str
    cure: str = ""
    """A command, or what to do where no command does it. Empty where the cause lies deeper, or time cures it."""
    because: Cause | None = None

    def links(self) -> Iterator[Cause]:
        """From the symptom down to the first cause."""
        yield self
        if self.because is not None:
            yield from self.because.links()

    @property
    def first(self) -> Cause:
        """The cause of all the others."""
        *_, last = self.links()
        return last


def name_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def namespace_of(manifest: Manifest) -> str:
    """Empty for what has none."""
    return str(manifest["metadata"].get("namespace") or "")


def subject(manifest: Manifest) -> str:
    return f"{manifest['kind'].lower()}/{name_of(manifest)}"


def kubectl(manifest: Manifest, arguments: str) -> str:
    """The command, in the object's namespace."""
    namespace = namespace_of(manifest)
    return f"kubectl {arguments} -n {namespace}" if namespace not in ("", "default") else f"kubectl {arguments}"


def listed(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
