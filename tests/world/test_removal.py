"""Trees are removed whole, and nothing beyond them (N201)."""

import os

import pytest

from holdfast.world import removal

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").touch()
    return tmp_path / "outside"


@pytest.fixture
def parent(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_n201_removal_follows_no_link(tmp_path, outside):
    top = tmp_path / "pods" / "uid"
    (top / "volumes").mkdir(parents=True)
    (top / "volumes" / "link").symlink_to(outside)
    (top / "volumes" / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    (top / "file").touch()
    removal.remove_tree(top)
    removal.remove_tree(top)
    assert not top.exists()
    assert (outside / "precious").exists()


def test_n201_a_link_in_the_place_of_the_tree_goes_alone(tmp_path, outside, parent):
    (tmp_path / "link").symlink_to(outside)
    removal.remove(parent, "link")
    removal.remove(parent, "link")
    assert not os.path.lexists(tmp_path / "link")
    assert (outside / "precious").exists()


def test_emptying_stops_where_it_is_told_to(tmp_path):
    for name in "abc":
        (tmp_path / name).touch()
    steps = iter([None, TimeoutError])

    def go_on():
        if refusal := next(steps):
            raise refusal

    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(TimeoutError):
        removal.empty(descriptor, go_on)
    os.close(descriptor)
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.live
@is_root
def test_n201_removal_stops_before_a_mount(tmp_path, outside):
    target = tmp_path / "pods" / "uid" / "v"
    target.mkdir(parents=True)
    (tmp_path / "pods" / "uid" / "a").touch()
    if os.system(f"mount --bind {outside} {target} 2>/dev/null") != 0:
        pytest.skip("mounting is not permitted here")
    try:
        with pytest.raises(removal.StillMounted, match="still mounted"):
            removal.remove_tree(tmp_path / "pods" / "uid")
        assert (tmp_path / "pods" / "uid" / "a").exists()
    finally:
        os.system(f"umount {target}")
    assert (outside / "precious").exists()


@pytest.mark.live
@is_root
def test_n201_another_file_system_is_not_entered_even_if_nobody_looked(tmp_path, parent):
    (tmp_path / "top" / "below").mkdir(parents=True)
    if os.system(f"mount -t tmpfs tmpfs {tmp_path}/top/below 2>/dev/null") != 0:
        pytest.skip("mounting is not permitted here")
    try:
        (tmp_path / "top" / "below" / "precious").touch()
        with pytest.raises(removal.StillMounted, match="another filesystem is mounted here"):
            removal.remove(parent, "top")
        assert (tmp_path / "top" / "below" / "precious").exists()
    finally:
        os.system(f"umount {tmp_path}/top/below")
