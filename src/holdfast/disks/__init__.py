"""Volumes with a size: file systems in image files, made, attached, grown, copied, taken away.

Knows no Kubernetes. The control plane makes images and removes them, node agents attach them; what one does to a
volume it does while it holds the volume's lock (`locking`), and so do the programs it starts.

A volume is a directory with one file, `image`, or `device` if it is a block volume. What is being made is called
`image.new` until it is whole. Nothing is recorded elsewhere: which loop device serves an image, and whether anything
has it mounted, the kernel knows, and it lets go of both by itself when the last mount is gone (R130).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

IMAGE, DEVICE = "image", "device"


@dataclass(frozen=True, slots=True)
class Disk:
    """Where one volume's image is kept."""

    path: Path
    """Of the directory."""

    @property
    def image(self) -> Path:
        return self.path / (DEVICE if self.is_device else IMAGE)

    @property
    def is_device(self) -> bool:
        """Whether it is a block volume: what is in its image is its users' business."""
        return (self.path / DEVICE).is_file()

    @property
    def used(self) -> Path:
        """Is there once a block volume has been attached, for nobody else would know."""
        return self.path / "used"

    @property
    def draft(self) -> Path:
        """An image that is being made: it means nothing to anybody but who makes it."""
        return self.path / "image.new"

    @property
    def exists(self) -> bool:
        """Whether this is a volume of this sort, and whole."""
        return self.image.is_file()
