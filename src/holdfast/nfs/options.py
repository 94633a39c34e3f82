"""Mount options of NFS, as `man 5 nfs` has them, for the client in user space. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from holdfast.world import linux

PORT = 2049
_FLAGS = {
    "nosuid": linux.MS_NOSUID,
    "nodev": linux.MS_NODEV,
    "noexec": linux.MS_NOEXEC,
    "noatime": 1024,
    "nodiratime": 2048,
    "relatime": 1 << 21,
}
_NAMES_WITHOUT_EFFECT = """
    rw defaults suid dev exec atime diratime async write auto noauto _netdev nofail user users fg bg retry
    intr nointr lock nolock local_lock ac cto posix noposix acl noacl rdirplus nordirplus sharecache nosharecache
    fsc nofsc migration nomigration lookupcache clientaddr nconnect max_connect trunkdiscovery notrunkdiscovery
    acregmax acdirmin acdirmax namlen mountproto mountport mountvers mounthost mountaddr softreval nosoftreval tcp
"""
_WITHOUT_EFFECT = frozenset(_NAMES_WITHOUT_EFFECT.split())
"""Taken, because what they ask for is so already, or changes nothing that programs could tell."""


class BadOption(ValueError):
    """The words of mount.nfs."""


@dataclass(frozen=True, slots=True)
class Options:
    port: int = PORT
    most_read_bytes: int = 1 << 20
    most_written_bytes: int = 1 << 20
    is_soft: bool = False
    timeout_s: float = 60.0
    """Of one attempt."""
    retries: int = 2
    valid_s: float = 1.0
    """How long attributes are believed. A second, not three: a page that was changed on the server is there at once."""
    is_privileged: bool = True
    """Whether a source port below 1024 is used."""
    is_read_only: bool = False
    flags: int = 0
    """Of mount(2)."""

    @property
    def fails_after_s(self) -> float | None:
        """None: never, as databases want it."""
        return self.timeout_s * (self.retries + 1) if self.is_soft else None


def parse(given: Iterable[str]) -> Options:
    """Raises BadOption."""
    options = Options()
    for option in given:
        name, _, value = option.strip().partition("=")
        options = _with(options, name, value)
    return options


def _with(options: Options, name: str, value: str) -> Options:
    if name in _FLAGS:
        return replace(options, flags=options.flags | _FLAGS[name])
    if name in _SETTERS:
        try:
            return _SETTERS[name](options, value)
        except ValueError as error:
            if isinstance(error, BadOption):
                raise
            raise _incorrect() from error
    if name and name not in _WITHOUT_EFFECT:
        raise _incorrect()
    return options


def _incorrect() -> BadOption:
    return BadOption("an incorrect mount option was specified")


def _version(options: Options, value: str) -> Options:
    """4.1 is what is spoken; servers that speak 4.2 speak it too."""
    if value not in ("4", "4.1", "4.2"):
        raise BadOption(
            "requested NFS version or transport protocol is not supported "
            "(without NFS in the kernel only versions 4.1 and 4.2 are)"
        )
    return options


def _protocol(options: Options, value: str) -> Options:
    if value not in ("tcp", "tcp6"):
        raise BadOption("requested NFS version or transport protocol is not supported")
    return options


def _security(options: Options, value: str) -> Options:
    if value != "sys":
        raise BadOption(f"sec={value} is not supported without NFS in the kernel")
    return options


def _whole(value: str, least: int, most: int) -> int:
    number = int(value)
    if not least <= number:
        raise ValueError(value)
    return min(number, most)


_SETTERS: dict[str, Callable[[Options, str], Options]] = {
    "port": lambda options, value: replace(options, port=_whole(value, 0, 65535) or PORT),
    "rsize": lambda options, value: replace(options, most_read_bytes=_whole(value, 1024, 1 << 20)),
    "wsize": lambda options, value: replace(options, most_written_bytes=_whole(value, 1024, 1 << 20)),
    "soft": lambda options, value: replace(options, is_soft=True),
    "softerr": lambda options, value: replace(options, is_soft=True),
    "hard": lambda options, value: replace(options, is_soft=False),
    "timeo": lambda options, value: replace(options, timeout_s=_whole(value, 1, 6000) / 10),
    "retrans": lambda options, value: replace(options, retries=_whole(value, 0, 100)),
    "actimeo": lambda options, value: replace(options, valid_s=float(_whole(value, 0, 3600))),
    "acregmin": lambda options, value: replace(options, valid_s=float(_whole(value, 0, 3600))),
    "noac": lambda options, value: replace(options, valid_s=0.0),
    "sync": lambda options, value: options,
    "resvport": lambda options, value: replace(options, is_privileged=True),
    "noresvport": lambda options, value: replace(options, is_privileged=False),
    "ro": lambda options, value: replace(options, is_read_only=True),
    "vers": _version,
    "nfsvers": _version,
    "minorversion": lambda options, value: _version(options, f"4.{value}"),
    "v4": lambda options, value: options,
    "v4.1": lambda options, value: options,
    "v4.2": lambda options, value: options,
    "proto": _protocol,
    "udp": lambda options, value: _protocol(options, "udp"),
    "sec": _security,
}
