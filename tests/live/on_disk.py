"""What a cluster's volumes are on this machine, wherever their images are kept."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.disks import loops
from holdfast.disks.pool import DIRECTORY, Pool


def names(cluster, *below: str) -> list[str]:
    """Of volumes, or of what is in that directory below theirs; without those that begin with a point."""
    root, found = cluster.home / "volumes", set()
    pool = Pool(root)
    try:
        for top in [root, *([pool.open()] if pool.exists else [])]:
            directory = top.joinpath(*below)
            found |= set(os.listdir(directory)) if directory.is_dir() else set()
    finally:
        pool.close()
    return sorted(name for name in found if not name.startswith("."))


def devices(cluster) -> list[str]:
    """Loop devices of images that are in use."""
    root = cluster.home / "volumes"
    places, attached = {root.stat().st_dev}, loops.attached()
    pool_image = root / DIRECTORY / "image"
    pool = attached.pop((pool_image.stat().st_dev, pool_image.stat().st_ino), "") if pool_image.exists() else ""
    places |= {os.stat(pool).st_rdev} if pool else set()
    return [
        device
        for (place, _), device in attached.items()
        if place in places and (place != root.stat().st_dev or str(cluster.home) in _backing(device))
    ]


def everything_attached(cluster) -> list[str]:
    """Files of the cluster that loop devices serve, the pool among them."""
    found = [_backing(device) for device in loops.attached().values()]
    return [line for line in found if str(cluster.home) in line] + devices(cluster)


def _backing(device: str) -> str:
    try:
        return Path("/sys/block", device.rpartition("/")[2], "loop/backing_file").read_text().strip()
    except OSError:
        return ""
