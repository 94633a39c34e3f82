"""Debian packages as files: which ones an image needs, where they are cached, what is in them (R110).

No root, no chroot, no maintainer script: apt resolves and downloads, the archives are read in Python.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_INSTALLED = re.compile(r"^Inst (?P<name>\S+) \((?P<version>\S+) .*\[(?P<architecture>\w+)\]\)", re.MULTILINE)


class BuildFailed(Exception):
    """The image cannot be built here; the message says what would help."""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    name: str
    version: str
    architecture: str

    @property
    def file_name(self) -> str:
        """As `apt-get download` names it."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def resolve(names: Sequence[str], without: Sequence[str], cache: Path) -> list[Package]:
    """The packages and all they depend on, as on a machine where nothing is installed, but those in `without`."""
    cache.mkdir(parents=True, exist_ok=True)
    nothing = cache / "nothing-installed"
    nothing.touch()
    options = ["-o", f"Dir::State::status={nothing}", "-o", "APT::Install-Recommends=false"]
    options += ["-o", "Debug::NoLocking=true"]
    text = _apt(["--simulate", *options, "install", *names], cache)
    found = [Package(match["name"], match["version"], match["architecture"]) for match in _INSTALLED.finditer(text)]
    if not found:
        raise BuildFailed(f"apt knows no way to install {' '.join(names)}: apt-get update")
    return sorted(package for package in found if package.name not in without)


def download(packages: Sequence[Package], cache: Path) -> list[Path]:
    """The packages' files, in the cache from then on."""
    missing = [package for package in packages if not (cache / package.file_name).exists()]
    if missing:
        _apt(["download", *(f"{package.name}={package.version}" for package in missing)], cache)
    paths = [cache / package.file_name for package in packages]
    for path in paths:
        if not path.exists():
            raise BuildFailed(f"apt-get download did not bring {path.name}")
    return paths


def _apt(arguments: Sequence[str], directory: Path) -> str:
    if shutil.which("apt-get") is None:
        raise BuildFailed("images are built from Debian packages: apt-get is not here")
    done = subprocess.run(["apt-get", "--quiet", *arguments], cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise BuildFailed(f"apt-get {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Every file of a package with its contents."""
    name, data = _data(path)
    if name.endswith(".zst"):
        data = _unzstd(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            yield member, file.read() if file else b""


def _data(path: Path) -> tuple[str, bytes]:
    """The member `data.tar.*` of a package, which is an `ar` archive: a header of 60 bytes before each member."""
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise BuildFailed(f"{path} is no Debian package")
        while header := file.read(60):
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                return name, file.read(size)
            file.seek(size + size % 2, io.SEEK_CUR)
    raise BuildFailed(f"{path} has no data")


def _unzstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        raise BuildFailed("a package is compressed with zstd: apt-get install zstd")
    return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
