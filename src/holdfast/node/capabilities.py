"""What this machine can do for containers, found by doing, and what would lift each limit (R70, R172).

Nothing is inferred from versions, settings or the user: every attempt runs in a forked child, which takes whatever
it made with it. Where the machine itself refuses, the attempts are made in a user namespace of the child's own.
Used by `holdfast doctor` and to choose a driver.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.nfs import FILE_SYSTEM
from holdfast.node import delegation
from holdfast.world import linux, user_namespace

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
_CGROUP2_MAGIC = 0x63677270
_ALLOW = (
    "sysctl -w user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1 "
    "kernel.apparmor_restrict_unprivileged_userns=0 (those that are there)"
)
_LIMITS = "limits and usage of containers"
_NO_LIMITS = "run as root with a writable /sys/fs/cgroup; without, containers run, limits do not hold"
_DELEGATE = "Delegate=cpu memory pids in the section [Service] of /etc/systemd/system/user@.service.d/delegate.conf"
_ENOUGH_IDS = 1000
"""Images' users are below: Debian's system users are."""
_DNAT_RULES = b"""table ip probe {
  chain out { type nat hook output priority -100; ip daddr 192.0.2.1 tcp dport 80 dnat to 192.0.2.2:8080; }
}
"""


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that the machine can or cannot do."""

    name: str
    ok: bool
    serves: str
    """What it is for."""
    detail: str = ""
    """The system's words if it failed, or where the program was found."""
    cure: str = ""
    """What to do about it; empty if it works."""
    required: bool = False
    """Whether real containers need it."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    items: tuple[Capability, ...]
    is_rootless: bool = False
    """Whether containers are to run inside a user namespace, since this process may not do it without."""

    def __getitem__(self, name: str) -> Capability:
        return next(item for item in self.items if item.name == name)

    @property
    def missing_for_containers(self) -> tuple[Capability, ...]:
        """What keeps real containers from running here."""
        return tuple(item for item in self.items if item.required and not item.ok)

    @property
    def runtime(self) -> str:
        """The driver that `--runtime auto` means: `oci` where real containers run, else `process`."""
        return "process" if self.missing_for_containers else "oci"


def probe(directory: Path | None = None) -> Capabilities:
    """Everything, in about a tenth of a second. `directory` is on the file system that will hold containers."""
    found = probe_containers(directory)
    within = _within(found.is_rootless)
    groups = _delegated_groups() if found.is_rootless else _cgroups()
    items = (*found.items, groups, *_network(within), *_volumes(directory), *_beyond(within, found.is_rootless))
    return Capabilities(items, found.is_rootless)


def probe_containers(directory: Path | None = None) -> Capabilities:
    """Only what decides on the driver."""
    is_rootless = bool(attempt(_unshare_all)) and not attempt(_enter_user_namespace)
    return Capabilities(tuple(_for_containers(directory, _within(is_rootless))), is_rootless)


Within = Callable[[Callable[[], None]], Callable[[], None]]
"""Makes of an attempt the same attempt at the place where containers are to run."""


def _within(is_rootless: bool) -> Within:
    def inside(function: Callable[[], None]) -> Callable[[], None]:
        def enter_first() -> None:
            user_namespace.enter()
            function()

        return enter_first if is_rootless else function

    return inside


def _for_containers(directory: Path | None, within: Within) -> list[Capability]:
    namespaces = within(_unshare_all)
    overlay = within(lambda: _mount_overlay(directory))
    separates = "separates pods from this machine"
    return [
        _program("crun", "starts containers", "apt install crun", required=True),
        _program("conmon", "keeps containers' output and exit codes", "apt install conmon", required=True),
        _attempted("namespaces", namespaces, separates, f"run as root, or: {_ALLOW}", required=True),
        _attempted(
            "overlay",
            overlay,
            "root filesystems from images",
            "modprobe overlay; --home on a local disk; run as root",
            required=True,
        ),
        _attempted("veth", within(_make_veth), "links of pods to this machine", "modprobe veth", required=True),
    ]


def _network(within: Within) -> list[Capability]:
    nft = _program("nft", "ways out of the pod network, services", "apt install nftables")
    rules = _attempted(
        "nftables", within(_load_nat_rules), nft.serves, "modprobe nf_tables nf_nat nft_chain_nat", needs=nft.ok
    )
    return [nft, rules]


def _volumes(directory: Path | None) -> list[Capability]:
    """Without them volumes are plain directories, grow with their next pod, are copied byte by byte."""
    from holdfast.disks import capability as sizing  # not for who only has to choose a driver
    from holdfast.disks import pool

    place = directory or Path(tempfile.gettempdir())
    found = sizing.find_out(place)
    apart = found.obstacle or pool.try_out(place)
    size = "volumes with a size of their own: without, they are as large as the disk"
    grow = "such volumes grow under running pods: without, when no pod has them mounted"
    tools = "apt install e2fsprogs; modprobe loop; run as root"
    right = "" if found.grows_mounted else found.obstacle or "CAP_SYS_RESOURCE is missing"
    return [
        Capability("sized-volumes", not found.obstacle, size, found.obstacle, tools if found.obstacle else ""),
        Capability(
            "online-growth",
            found.grows_mounted,
            grow,
            right,
            "" if found.grows_mounted else "give root CAP_SYS_RESOURCE",
        ),
        Capability(
            "instant-copies",
            not apart,
            "snapshots and clones of such volumes that take no time and no room: without, they are copied",
            apart,
            "apt install xfsprogs; modprobe xfs; run as root" if apart else "",
        ),
    ]


def _beyond(within: Within, is_rootless: bool) -> list[Capability]:
    return [
        _attempted("user-namespaces", _enter_user_namespace, "containers without root", _ALLOW),
        _attempted("subuid", _hand_out_ids, "several users in containers without root", _subordinate_cure()),
        _device("/dev/fuse", "NFS volumes without a kernel client"),
        _nfs(within, is_rootless),
        _device("/dev/net/tun", "ways out of the pod network without root"),
        _program("slirp4netns", "ways out of the pod network without root", "apt install slirp4netns"),
        _program("zstd", "images with zstd layers", "apt install zstd"),
        _program("proot", "images where nothing else can run", "apt install proot"),
        _systemd(),
    ]


# The attempts; each raises OSError, and runs in a child of its own


def _unshare_all() -> None:
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", "/mnt", "tmpfs")
    if failure := attempt(_mount_views):  # in a child: the first process of the new namespace
        raise OSError(errno.EPERM, failure)


def _mount_views() -> None:
    """Refused where somebody has hidden parts of /proc or /sys, as in most containers that are not privileged."""
    for kind in ("proc", "sysfs"):
        linux.mount(kind, "/mnt", kind, linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)


def _mount_overlay(directory: Path | None) -> None:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    with tempfile.TemporaryDirectory(prefix="holdfast-probe-", dir=directory) as place:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(os.path.join(place, name))
        options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
        if user_namespace.is_inside():
            options += ",userxattr"
        linux.mount("overlay", f"{place}/merged", "overlay", 0, options)
        linux.unmount(f"{place}/merged")


def _make_veth() -> None:
    """RTM_NEWLINK for a veth pair with names of the kernel's choice, in a new network namespace."""
    linux.unshare(linux.CLONE_NEWNET)
    request, create_exclusive, acknowledge = 0x1, 0x400 | 0x200, 0x4
    kind = _attribute(18, _attribute(1, b"veth"))  # IFLA_LINKINFO with IFLA_INFO_KIND
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0) + kind
    header = struct.pack("=IHHII", 16 + len(body), 16, request | create_exclusive | acknowledge, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(header + body)
        answer = netlink.recv(4096)
    code = -struct.unpack_from("=i", answer, 16)[0]
    if code:
        raise OSError(code, os.strerror(code))


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _load_nat_rules() -> None:
    linux.unshare(linux.CLONE_NEWNET)
    nft = shutil.which("nft", path=SEARCH_PATH) or "nft"
    done = subprocess.run([nft, "-f", "-"], input=_DNAT_RULES, capture_output=True, timeout=20)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise OSError(errno.EOPNOTSUPP, words[0] if words else "nft failed")


def _enter_user_namespace() -> None:
    user_namespace.enter()
    _unshare_all()


def _hand_out_ids() -> None:
    user_namespace.enter()
    if user_namespace.ids() < _ENOUGH_IDS:
        raise OSError(errno.EPERM, "only the user's own id is known inside")


# Turning attempts into findings


def attempt(function: Callable[[], object]) -> str:
    """Runs `function` in a forked child: empty if it went well, else the reason in words."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            function()
            status = 0
        except OSError as error:
            os.write(writing, f"{error.strerror or error}"[:4000].encode())
            status = 1
        except BaseException as error:
            os.write(writing, repr(error)[:4000].encode())
            status = 1
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        words = pipe.read().decode(errors="replace")
    _, wait_status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(wait_status)
    return "" if code == 0 else words or f"the attempt ended with {code}"


def _attempted(
    name: str, function: Callable[[], None], serves: str, cure: str, *, required: bool = False, needs: bool = True
) -> Capability:
    failure = attempt(function) if needs else "not tried"
    return Capability(name, not failure, serves, failure, cure if failure else "", required)


def _program(name: str, serves: str, cure: str, *, required: bool = False) -> Capability:
    path = shutil.which(name, path=SEARCH_PATH)
    return Capability(name, path is not None, serves, path or "not installed", "" if path else cure, required)


def _device(path: str, serves: str) -> Capability:
    """By opening it: a device that is there need not be for us (R74)."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        words = os.strerror(error.errno or 0)
        cure = f"chmod 0666 {path}" if error.errno in (errno.EACCES, errno.EPERM) else f"modprobe {Path(path).name}"
        return Capability(path, False, serves, words, cure)
    return Capability(path, True, serves)


def _nfs(within: Within, is_rootless: bool) -> Capability:
    """By the kernel, with its helper program; else through a FUSE mount, tried without any server (R138)."""
    serves = "NFS volumes"
    known = Path("/proc/filesystems").read_text().split() if Path("/proc/filesystems").exists() else []
    helper = shutil.which("mount.nfs", path=SEARCH_PATH)
    if helper and "nfs4" in known and not is_rootless:
        return Capability("nfs", True, f"{serves}, mounted by the kernel", helper)
    failure = attempt(within(_mount_fuse))
    if not failure:
        return Capability("nfs", True, f"{serves} of servers that speak 4.1, in user space", FILE_SYSTEM)
    cure = "run as root with /dev/fuse, or: modprobe nfs; apt install nfs-common"
    return Capability("nfs", False, serves, failure, cure)


def _mount_fuse() -> None:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    with tempfile.TemporaryDirectory(prefix="holdfast-probe-") as place:
        options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0"
        linux.mount("probe", place, FILE_SYSTEM, 0, options)
        linux.unmount(place, linux.MNT_DETACH)
        os.close(descriptor)


def _subordinate_cure() -> str:
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    line = f"{name}:100000:65536"
    return f"apt install uidmap; echo {line} >> /etc/subuid; echo {line} >> /etc/subgid"


def _systemd(running: Path = Path("/run/systemd/system")) -> Capability:
    """As sd_booted(3) finds it."""
    serves = "a cluster that is there at boot (holdfast service)"
    if running.is_dir():
        return Capability("systemd", True, serves)
    cure = "have what starts services here run what `holdfast service install` tells"
    return Capability("systemd", False, serves, "does not run this machine", cure)


def _delegated_groups() -> Capability:
    """A group that the user's systemd makes, else the process' own or one above, if it is the user's (R35)."""
    if controllers := delegation.handed_by_manager():
        return _of_groups("those of the user's systemd", controllers)
    leaf = f"holdfast-probe-{os.getpid()}"
    before = delegation.state()
    if failure := attempt(lambda: delegation.enter(leaf)):
        linger = "loginctl enable-linger, or " if delegation.could_linger() else ""
        return Capability("cgroups", False, _LIMITS, failure, f"{linger}{_NO_LIMITS}")
    group, controllers = delegation.undo(leaf, before)
    return _of_groups(f"below {group}", controllers)


def _of_groups(which: str, controllers: frozenset[str]) -> Capability:
    if lacking := " and ".join(delegation.missing(controllers)):
        return Capability("cgroups", False, _LIMITS, f"v2, {which}: not of {lacking}", _DELEGATE)
    return Capability("cgroups", True, _LIMITS, f"v2, {which}: {', '.join(sorted(controllers))}")


def _cgroups(root: Path = Path("/sys/fs/cgroup")) -> Capability:
    """A group made and removed in each hierarchy that limits need (R30)."""
    name, serves = "cgroups", _LIMITS
    try:
        version_2 = linux.filesystem_magic(str(root)) == _CGROUP2_MAGIC
        controllers: Sequence[str] = ("",) if version_2 else ("memory", "cpu", "pids")
        for controller in controllers:
            place = root / controller / f"holdfast-probe-{os.getpid()}"
            place.mkdir()
            place.rmdir()
    except OSError as error:
        return Capability(name, False, serves, os.strerror(error.errno or 0), _NO_LIMITS)
    return Capability(name, True, serves, "v2" if version_2 else "v1")
