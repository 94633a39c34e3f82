"""What an nfs volume means: source, options, and the words of a failure. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from holdfast.api.resource import Manifest
from holdfast.api.storage.mount_options import mount_options


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
    def all_options(self) -> list[str]:
        return sorted({*self.options, *(("ro",) if self.is_read_only else ())})

    @property
    def key(self) -> str:
        """The same for all mounts that one process can serve: who may only read is decided mount by mount."""
        words = "\0".join((self.source, *self.options))
        return hashlib.sha256(words.encode()).hexdigest()[:16]


def export_of(details: Manifest, persistent_volume: Manifest | None, *, is_read_only: bool) -> Export:
    """`details` stand under `nfs`; `is_read_only` is the claim reference's, or the source's if it is inline (V91)."""
    options = () if persistent_volume is None else mount_options(persistent_volume)
    return Export(
        str(details.get("server") or ""),
        str(details.get("path") or ""),
        tuple(sorted({option for option in options if option != "ro"})),
        is_read_only or "ro" in options,
    )


def failure(export: Export, point: str, status: str, output: str) -> str:
    """Kubelet's words. `status` is how mount ended, `output` what it said."""
    options = export.all_options
    arguments = ["-t", "nfs", *(("-o", ",".join(options)) if options else ()), export.source, point]
    return (
        f"mount failed: {status}\nMounting command: mount\nMounting arguments: {' '.join(arguments)}\n"
        f"Output: {output.rstrip()}\n"
    )
