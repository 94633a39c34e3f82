"""When nobody has a volume open any more."""

from __future__ import annotations

import time

from holdfast.disks import loops


def gone(volume, within_s=60):
    """Whoever looks at new devices, as udev does, may have it open for a moment."""
    deadline = time.monotonic() + within_s
    while loops.find(volume.image):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
