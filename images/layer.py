"""Layers: packages and files of our own as one tar, the same bytes each time."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from packages import members
from recipes import Contents

MODIFIED = 1704067200
"""Of everything in a layer, seconds since the epoch."""
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into /usr, as on today's Debian."""
DROPPED = (
    "etc/default/",
    "etc/init.d/",
    "etc/logrotate.d/",
    "usr/lib/systemd/",
    "usr/share/bash-completion/",
    "usr/share/bug/",
    "usr/share/doc/",
    "usr/share/doc-base/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    "usr/share/perl/",
    "usr/share/perl5/",
)
DIRECTORIES = {"dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o555, "root": 0o700}
DIRECTORIES |= {"run": 0o755, "srv": 0o755, "sys": 0o555, "tmp": 0o1777, "usr": 0o755, "var": 0o755, "var/tmp": 0o1777}
FILES = Path(__file__).parent
"""A folder of files per recipe that needs some, laid out as in the image."""
PASSWD = (FILES / "base/etc/passwd").read_bytes()
GROUP = (FILES / "base/etc/group").read_bytes()


class Layer:
    """What is on its way into one tar file: path to entry, the last one given wins."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[tarfile.TarInfo, bytes]] = {}

    def add_skeleton(self) -> None:
        """What the lowest layer of every image has."""
        for name, mode in DIRECTORIES.items():
            self.add_directory(name, mode)
        for name in MERGED:
            self.add_directory(f"usr/{name}")
            self.add_link(name, f"usr/{name}")
        self.add_link("var/run", "/run")

    def add(self, entry: tarfile.TarInfo, data: bytes = b"") -> None:
        entry.name = _placed(entry.name)
        is_merged = entry.isdir() and entry.name in MERGED
        if not entry.name or is_merged or f"{entry.name}/".startswith(DROPPED):
            return
        if entry.islnk():
            entry.linkname = _placed(entry.linkname)
        if entry.isdir() and entry.name in self._entries:
            return
        if parent := os.path.dirname(entry.name):
            self.add_directory(parent, DIRECTORIES.get(parent, 0o755))
        entry.mtime, entry.uname, entry.gname, entry.size = MODIFIED, "", "", len(data)
        entry.pax_headers = {}
        self._entries[entry.name] = (entry, data)

    def add_directory(self, name: str, mode: int = 0o755, owner: int = 0) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
        self.add(entry)

    def add_link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        self.add(entry)

    def add_file(self, name: str, data: bytes) -> None:
        """A program if it begins as a script does."""
        entry = tarfile.TarInfo(name)
        entry.mode = 0o755 if data.startswith(b"#!") else 0o644
        self.add(entry, data)

    def remove(self, pattern: str) -> None:
        for name in [name for name in self._entries if fnmatchcase(name, pattern)]:
            del self._entries[name]

    def matching(self, pattern: str) -> list[str]:
        return sorted(name for name in self._entries if fnmatchcase(name, pattern))

    def data(self, name: str) -> bytes:
        return self._entries[name][1]

    def tar(self) -> bytes:
        """Sorted, so that directories come before what is in them; hard links last, after what they name."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for _, (entry, data) in sorted(self._entries.items(), key=lambda item: (item[1][0].islnk(), item[0])):
                archive.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
        return buffer.getvalue()


def _placed(name: str) -> str:
    """Where a file of a package belongs: relative, and not below one of the links that every image has."""
    path = os.path.normpath(f"/{name}").lstrip("/")
    first, slash, _ = path.partition("/")
    if slash and first in MERGED:
        return f"usr/{path}"
    return path.removeprefix("var/") if path.startswith("var/run/") else path


def make_layer(contents: Contents, debs: Iterable[Path], *, is_lowest: bool) -> bytes:
    """The layer's tar. Directories that packages share are in it even if a lower layer has them, unchanged."""
    layer = Layer()
    if is_lowest:
        layer.add_skeleton()
    for name, (owner, mode) in contents.directories.items():
        layer.add_directory(name, mode, owner)
    for deb in debs:
        for entry, data in members(deb):
            layer.add(entry, data)
    for pattern in contents.drop:
        layer.remove(pattern)
    if contents.has_busybox:
        for applet in _applets(layer.data("usr/bin/busybox")):
            layer.add_link(f"usr/bin/{applet}", "busybox")
    if contents.programs:
        for program in layer.matching(contents.programs):
            layer.add_link(f"usr/local/bin/{os.path.basename(program)}", f"/{program}")
    for name, target in contents.links.items():
        layer.add_link(name, target)
    for name, data in files_of(contents).items():
        layer.add_file(name, data)
    return layer.tar()


def files_of(contents: Contents) -> dict[str, bytes]:
    """The image's own files by path; its users come after those that every image has."""
    found = _tree(contents.files)
    for user, number in contents.users.items():
        line = f"{user}:x:{number}:"
        found["etc/passwd"] = found.get("etc/passwd", PASSWD) + f"{line}{number}::/:/usr/sbin/nologin\n".encode()
        found["etc/group"] = found.get("etc/group", GROUP) + f"{line}\n".encode()
    return found


def _tree(folder: str) -> dict[str, bytes]:
    paths = sorted((FILES / folder).rglob("*")) if folder else []
    return {str(path.relative_to(FILES / folder)): path.read_bytes() for path in paths if path.is_file()}


def _applets(program: bytes) -> list[str]:
    """The program lists them itself."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "busybox")
        path.write_bytes(program)
        path.chmod(stat.S_IRWXU)
        listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if name != "busybox"]
