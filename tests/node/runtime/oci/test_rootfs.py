"""What of this machine goes into the image `host`."""

import os

from holdfast.node.runtime.oci import rootfs


def test_a_copy_for_everybody_has_what_everybody_may_read_and_links_as_they_are(tmp_path):
    source, target = tmp_path / "etc", tmp_path / "copy"
    (source / "private").mkdir(parents=True)
    (source / "private" / "key").write_text("secret")
    (source / "private").chmod(0o700)
    (source / "conf.d").mkdir()
    for name, mode in {"passwd": 0o644, "shadow": 0o640, "conf.d/a": 0o755}.items():
        (source / name).write_text(name)
        (source / name).chmod(mode)
    (source / "mtab").symlink_to("/proc/mounts")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe", 0o666)
    rootfs._copy_public(source, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*")}
    assert found == {"passwd", "conf.d", "conf.d/a", "mtab", "dangling"}
    assert os.readlink(target / "mtab") == "/proc/mounts"
    assert (target / "conf.d" / "a").stat().st_mode & 0o777 == 0o755
