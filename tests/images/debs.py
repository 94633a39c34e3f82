"""Packages for tests, made by hand."""

import io
import tarfile
from pathlib import Path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def deb(path: Path, files: dict[str, bytes]) -> Path:
    """A package as dpkg-deb writes it, with nothing but data."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        archive.addfile(entry("./", tarfile.DIRTYPE, mode=0o755))
        for name, content in files.items():
            info = entry(name)
            info.size, info.mtime, info.uname = len(content), 1234567890, "builder"
            archive.addfile(info, io.BytesIO(content))

    def member(name: str, content: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        return header + content + b"\n" * (len(content) % 2)

    path.write_bytes(b"!<arch>\n" + member("debian-binary", b"2.0") + member("data.tar.xz", data.getvalue()))
    return path
