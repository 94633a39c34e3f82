"""Snapshots and copies of local volumes on this machine's disk.

A snapshot is a directory below `.snapshots`: an image is kept as an image, a plain directory as `tree`. What a volume
is made from decides on what it is: a copy of a directory is a directory.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.disks import DEVICE, IMAGE, Disk, copying, images, loops, trees
from holdfast.disks.locking import locked
from holdfast.disks.pool import Pool

from .effects import Cut
from .places import SNAPSHOTS

log = logging.getLogger(__name__)

DRAFTS, TREE = ".drafts", "tree"
GROUPS, WHOLE = ".groups", ".whole"


def is_image(path: str) -> bool:
    """Whether the volume or snapshot there is an image. Raises OSError if there is neither."""
    if Disk(Path(path)).exists:
        return True
    if not os.path.isdir(path):
        raise OSError(errno.ENOENT, "no such volume or snapshot", path)
    return False


def cut(snapshot: str, volume: str, *, of_image: bool) -> Cut:
    """Takes the snapshot, if it is not there. Raises OSError."""
    place = Path(snapshot)
    if of_image:
        copying.copy(Disk(Path(volume)), Disk(place))
    else:
        if not os.path.isdir(volume):
            raise OSError(errno.ENOENT, "the volume's directory is gone", volume)
        trees.copy(Path(volume), place / TREE, place)
    return look(snapshot)


def cut_together(root: str, group: str, members: Sequence[tuple[str, str]]) -> None:
    """Takes snapshots of several volumes at one moment: all of them, or none. Members are (handle, volume's directory).

    They are made in a directory of the group's and become snapshots after that has been renamed: a group that was cut
    short before is taken anew, one that was cut short after is finished. Raises OSError.
    """
    snapshots, groups = Path(root) / SNAPSHOTS, Path(root) / SNAPSHOTS / GROUPS
    making, whole = groups / group, groups / f"{group}{WHOLE}"
    if not whole.exists() and all(Disk(snapshots / handle).exists for handle, _ in members):
        return
    if not whole.exists():
        making.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(making):
            for left in list(making.iterdir()):
                shutil.rmtree(left)
            copying.copy_together([(Disk(Path(path)), Disk(making / handle)) for handle, path in members])
            making.rename(whole)
    for made in list(whole.iterdir()):
        made.rename(snapshots / made.name)
    whole.rmdir()


def forget(snapshot: str) -> None:
    """What of a snapshot is left in groups that were cut short. Raises OSError."""
    place = Path(snapshot)
    for group in (place.parent / GROUPS).glob("*") if place.parent.name == SNAPSHOTS else ():
        with locked(group):
            if (group / place.name).exists():
                shutil.rmtree(group / place.name)
            if not any(group.iterdir()):
                group.rmdir()


def look(snapshot: str) -> Cut:
    """Raises OSError if there is no such snapshot, or only a part of it."""
    place = Path(snapshot)
    disk = Disk(place)
    if not disk.exists and not (place / TREE).is_dir():
        raise OSError(errno.ENOENT, "no such snapshot", snapshot)
    size_bytes = disk.image.stat().st_size if disk.exists else 0
    return Cut(size_bytes, place.stat().st_mtime_ns)


def fill(path: str, source: str, size_bytes: int, *, is_device: bool) -> None:
    """Makes the volume at `path` from a volume or a snapshot. Raises OSError."""
    if is_image(source):
        copying.copy(Disk(Path(source)), Disk(Path(path)), DEVICE if is_device else IMAGE)
        images.grow(Disk(Path(path)), size_bytes)
        return
    if is_device:
        raise OSError(errno.EINVAL, "the files of a directory make no block volume", source)
    tree = Path(source) / TREE if Path(source).parent.name == SNAPSHOTS else Path(source)
    trees.copy(tree, Path(path), drafts_of(path))
    shutil.rmtree(drafts_of(path), ignore_errors=True)


def drafts_of(path: str) -> Path:
    """Where a directory volume is made that is a copy."""
    return Path(path).parent / DRAFTS / Path(path).name


def discard_drafts(path: str) -> None:
    """Raises OSError."""
    drafts = drafts_of(path)
    if drafts.exists():
        with locked(drafts):
            shutil.rmtree(drafts)


def let_all_go_on(root: str) -> None:
    """File systems that were made to stand still by somebody who died (R127)."""
    attached, pool = loops.attached(), Pool(Path(root))
    if not attached:
        return
    try:
        _let_go_on_below(Path(root), attached)
        if pool.is_in_use:
            _let_go_on_below(pool.open(), attached)
    except OSError as error:
        log.warning("pool of volumes not looked at error=%s", error)
    finally:
        pool.close()


def _let_go_on_below(root: Path, attached: Mapping[tuple[int, int], str]) -> None:
    for image in root.glob("*/image"):
        try:
            status = image.stat()
            if device := attached.get((status.st_dev, status.st_ino)):
                copying.let_go_on(device)
        except OSError as error:
            log.warning("volume not looked at image=%s error=%s", image, error)
