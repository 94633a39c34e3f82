"""Trees of containers are removed, whoever may still be writing into them."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from holdfast.node.runtime.oci import rootfs


def write_until(end, top):
    """Makes directories as a runtime does that has not heard of its agent's death."""
    number = 0
    while not end.is_set():
        number += 1
        with contextlib.suppress(OSError):
            (top / "root" / str(number % 500)).mkdir()


def test_a_removal_outlasts_a_runtime_that_still_writes(tmp_path):
    top, end = tmp_path / "c", threading.Event()
    (top / "root").mkdir(parents=True)
    writer = threading.Thread(target=write_until, args=(end, top))
    writer.start()
    threading.Timer(0.3, end.set).start()
    try:
        rootfs.remove_tree(top)
    finally:
        end.set()
        writer.join()
    assert not top.exists()
    rootfs.remove_tree(top)


def test_a_removal_that_cannot_end_says_so(tmp_path, monkeypatch):
    def refuse(directory):
        raise OSError(rootfs.errno.ENOTEMPTY, "Directory not empty", str(directory))

    monkeypatch.setattr(rootfs, "ATTEMPT_S", 0.001)
    monkeypatch.setattr(rootfs.shutil, "rmtree", refuse)
    began = time.monotonic()
    with pytest.raises(OSError, match="something keeps writing"):
        rootfs.remove_tree(tmp_path)
    assert time.monotonic() - began < 60
