"""What an nfs volume means: source, options, and the words of a failure. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]

OPTIONS_ANNOTATION = "volume.beta.kubernetes.io/mount-options"
"""Older than the field `mountOptions`, and stronger (V90)."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be mounted."""

    server: str
    path: str
    options: tuple[str, ...]
    """Of the mount, sorted; without `ro`."""
    is_read_only: bool = False

    @property
    def source(self) -> str:
        """An IPv6 address stands in brackets."""
        server = f"[{self.server}]" if ":" in self.server else self.server
        return f"{server}:{self.path}"

    @property
    def mount_options(self) -> list[str]:
        return sorted({*self.options, *(("ro",) if self.is_read_only else ())})

    @property
    def key(self) -> str:
        """The same for all mounts that one process can serve: who may only read is decided mount by mount."""
        words = "\0".join((self.source, *self.options))
        return hashlib.sha256(words.encode()).hexdigest()[:16]


def export_of(details: Manifest, persistent_volume: Manifest | None, *, is_read_only: bool) -> Export:
    """`details` stand under `nfs`; `is_read_only` is the claim reference's, or the source's if it is inline (V91)."""
    options = () if persistent_volume is None else _options(persistent_volume)
    return Export(
        str(details.get("server") or ""),
        str(details.get("path") or ""),
        tuple(sorted({option for option in options if option != "ro"})),
        is_read_only or "ro" in options,
    )


def _options(volume: Manifest) -> Sequence[str]:
    annotation = (volume["metadata"].get("annotations") or {}).get(OPTIONS_ANNOTATION)
    given: Iterable[str] = volume["spec"].get("mountOptions") or ()
    if annotation is not None:
        given = str(annotation).split(",")
    return [option.strip() for option in given if option.strip()]


def failure(export: Export, point: str, status: str, output: str) -> str:
    """Kubelet's words. `status` is how mount ended, `output` what it said."""
    options = export.mount_options
    arguments = ["-t", "nfs", *(("-o", ",".join(options)) if options else ()), export.source, point]
    return (
        f"mount failed: {status}\nMounting command: mount\nMounting arguments: {' '.join(arguments)}\n"
        f"Output: {output.rstrip()}\n"
    )
