"""The mount table: every line of it understood, whatever names people give to directories."""

import os

import pytest

from holdfast.world import mount_table

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
30 27 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 30 8:2 /sub /srv rw - ext4 /dev/sda2 rw
52 30 0:40 / /h/with\040blank,\011tab,\012line\040and\134slash rw,relatime - fuse.nfs4 nas:/a\040b\043c rw,user_id=0
53 52 0:40 /gone//deleted /h/ro ro,relatime shared:3 master:2 - fuse.nfs4 nas:/a rw,user_id=0
54 30 0:41 / /h/empty rw - tmpfs  rw
55 30 0:42 / /h/ro/deeper rw - tmpfs tmpfs rw
56 30 0:43 / /h/ro rw - tmpfs tmpfs rw
57 30 0:44 / /h/rose rw - tmpfs tmpfs rw
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_bytes(TABLE.encode() + b"58 30 0:45 / /h/caf\xc3\xa9-\xff rw - tmpfs tmpfs rw\n")
    return path


def test_every_field_is_found_between_however_many_others(table):
    mounts = {mount.device: mount for mount in mount_table.mounts(table)}
    proc, blanks = mounts["0:21"], mount_table.mounts(table)[3]
    assert (proc.point, proc.kind, proc.source, proc.is_read_only) == ("/proc", "proc", "proc", False)
    assert (blanks.kind, blanks.source) == ("fuse.nfs4", "nas:/a b#c")
    assert [mount.is_read_only for mount in mount_table.mounts(table) if mount.point == "/h/ro"] == [True, False]
    assert mounts["0:41"].source == ""


def test_names_are_what_the_file_system_has(table):
    points = mount_table.points(table)
    assert points == [mount.point for mount in mount_table.mounts(table)]
    assert points[3] == "/h/with blank,\ttab,\nline and\\slash"
    assert os.fsencode(points[-1]) == b"/h/caf\xc3\xa9-\xff"


def test_below_are_the_mounts_of_a_directory_and_no_neighbours_in_the_order_of_unmounting(table):
    assert mount_table.below("/h/ro", table) == ["/h/ro/deeper", "/h/ro", "/h/ro"]
    assert mount_table.below("/h/r", table) == []
    assert mount_table.below("/srv/", table) == ["/srv"]
    assert len(mount_table.below("/", table)) == len(mount_table.points(table))


def test_links_above_are_followed_the_last_name_is_not_looked_at(tmp_path, table):
    """It may be a mount whose server is dead, or a link that is to be removed as a link."""
    (tmp_path / "h").symlink_to("/h")
    (tmp_path / "ro").symlink_to("/h/ro")
    table.write_text(f"{TABLE}59 30 0:46 / {tmp_path}/real/m rw - tmpfs tmpfs rw\n")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert mount_table.below(tmp_path / "link" / "m", table) == [f"{tmp_path}/real/m"]
    assert mount_table.below(tmp_path / "ro", table) == []


def test_this_processs_own_table_is_read():
    assert "/proc" in mount_table.points()
    assert {mount.kind for mount in mount_table.mounts() if mount.point == "/proc"} >= {"proc"}
