"""Debian packages as files: which ones an image needs, where they are cached, what is in them (R110).

No root, no chroot, no maintainer script: apt resolves, downloads and verifies; the archives are read in Python.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_INSTALLED = re.compile(r"^Inst (?P<name>\S+) \((?P<version>\S+) .*\[(?P<architecture>\w+)\]\)", re.MULTILINE)
_LISTS = Path("/var/lib/apt/lists")


class BuildFailed(Exception):
    """The image cannot be built here; the message says what would help."""


class ListsWereOutdated(BuildFailed):
    """What was resolved is no longer to be had. The package lists are new now: resolve again."""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    name: str
    version: str
    architecture: str

    @property
    def file_name(self) -> str:
        """As `apt-get download` names it."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def upstream_version(self) -> str:
        """Without Debian's epoch and revision: 1.22.1 of 1:1.22.1-9+deb12u1."""
        return self.version.rpartition(":")[2].partition("-")[0].partition("+")[0]


class Packages:
    """Those that this machine's apt knows, their files and what was resolved, all kept in `cache`.

    The machine's own package lists serve as long as they do. Where there are none, or where they name packages
    that are no longer to be had, lists of our own are fetched into the cache: that needs no root.
    """

    def __init__(self, cache: Path) -> None:
        self._files = cache / "packages"
        self._state = cache / "apt"
        self._files.mkdir(parents=True, exist_ok=True)
        (self._state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        self._nothing_installed = self._state / "status"
        self._nothing_installed.touch()
        self._own_lists = self._state / "lists"
        self._lists = max(_LISTS, self._own_lists, key=_newest)
        self._are_fresh = False

    def resolve(self, names: Sequence[str]) -> list[Package]:
        """The packages and all they depend on, as on a machine where nothing is installed. Raises BuildFailed."""
        known = self._state / f"resolved-{self._key(names)}.json"
        if known.exists():
            return [Package(**fields) for fields in json.loads(known.read_text())]
        try:
            text = self._apt(["--simulate", "install", *names], self._files)
        except BuildFailed:
            if not self._refresh():
                raise
            return self.resolve(names)
        packages = sorted(Package(**match.groupdict()) for match in _INSTALLED.finditer(text))
        if not packages:
            raise BuildFailed(f"apt finds nothing to install for {' '.join(names)}")
        known.write_text(json.dumps([asdict(package) for package in packages]))
        return packages

    def download(self, packages: Iterable[Package]) -> None:
        """Brings the packages' files into the cache: one call of apt, which verifies them.

        Raises BuildFailed; ListsWereOutdated at most once.
        """
        missing = sorted({package for package in packages if not self.file(package).exists()})
        if not missing:
            return
        with tempfile.TemporaryDirectory(dir=self._files) as directory:
            arguments = ["download", *(f"{package.name}={package.version}" for package in missing)]
            try:
                self._apt(arguments, Path(directory))
            except BuildFailed as failure:
                if self._refresh():
                    raise ListsWereOutdated(*failure.args) from failure
                raise
            for package in missing:
                fetched = Path(directory, package.file_name)
                if not fetched.exists():
                    raise BuildFailed(f"apt-get download did not bring {package.file_name}")
                os.replace(fetched, self.file(package))

    def file(self, package: Package) -> Path:
        return self._files / package.file_name

    def _refresh(self) -> bool:
        """Fetches package lists of our own. False if they were fetched before: that would not help."""
        if self._are_fresh:
            return False
        (self._own_lists / "partial").mkdir(parents=True, exist_ok=True)
        self._lists, self._are_fresh = self._own_lists, True
        self._apt(["update"], self._files)
        return True

    def _key(self, names: Sequence[str]) -> str:
        """What the answer depends on: the question and the package lists."""
        lists = [
            (path.name, state.st_size, state.st_mtime_ns)
            for path in sorted(self._lists.glob("*_Packages*"))
            for state in (path.stat(),)
        ]
        return hashlib.sha256(repr((sorted(names), lists)).encode()).hexdigest()[:16]

    def _apt(self, arguments: Sequence[str], directory: Path) -> str:
        if shutil.which("apt-get") is None:
            raise BuildFailed("images are built from Debian packages: apt-get is not here")
        options = {
            "Dir::State::status": self._nothing_installed,
            "Dir::State::lists": self._lists,
            "Dir::Cache": self._state,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "Debug::NoLocking": "true",
        }
        command = ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]
        done = subprocess.run([*command, *arguments], cwd=directory, capture_output=True, text=True)
        if done.returncode:
            raise BuildFailed(f"apt-get {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def _newest(lists: Path) -> float:
    """When the newest of the package lists there was published; 0 if there are none."""
    return max((path.stat().st_mtime for path in lists.glob("*_Packages*")), default=0)


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
