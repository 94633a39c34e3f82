"""Runs tests on an emulated machine: Debian's kernel, control groups of version 2 alone, a root that lacks no right,
NFS in the kernel, XFS. What the machine at hand has not got is tried there.

    scripts/emulated.py tests/node/runtime/oci tests/disks       the arguments are pytest's
    scripts/emulated.py --shell 'python3 -m holdfast.cli doctor'  any command line

Needs root, the virtual environment of `make test`, and Debian's mmdebstrap, qemu-system-x86, busybox-static and cpio.
Emulated in software it is about five times slower than the machine at hand; it boots in four seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "emulated"
PYTHON = "3.11"
"""Of Debian bookworm: the extension modules of the virtual environment are taken along."""
PACKAGES = (
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils", "findutils", "gawk", "grep", "gzip"),
    *("hostname", "libc-bin", "login", "mount", "netbase", "passwd", "procps", "sed", "tar", "util-linux"),
    *("conmon", "crun", "e2fsprogs", "iproute2", "kmod", "nftables", "python3", "uidmap", "xfsprogs", "zstd"),
    *("bind9-dnsutils", "curl", "fuse3", "libcap2-bin", "nfs-common", "nfs-ganesha-vfs", "postgresql-client"),
    "linux-image-cloud-amd64",
)
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
}
"""Programs of the machine at hand, and Debian's packages of them."""
KEEP_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
BOOT_MODULES = ("virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
MODULES = ("overlay", "veth", "nf_tables", "nft_chain_nat", "loop", "fuse", "tun", "nfs", "xfs", "dummy")
DISK, MEMORY_MB = "8G", 4096
BEGUN = "the command begins"
ENDED = re.compile(r"^the command ended with status (\d+)")

FIRST_INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for again in 1 2; do for module in {" ".join(BOOT_MODULES)}; do $b insmod /$module.ko 2>/dev/null; done; done
until $b mount -t ext4 /dev/vda /new; do $b sleep 0.1; done
$b mount --move /dev /new/dev; $b umount /proc /sys
exec $b switch_root /new /sbin/init
"""
INIT = f"""#!/bin/bash
export PATH=/root/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t cgroup2 cgroup2 /sys/fs/cgroup
touch /etc/subuid /etc/subgid
mkdir -p /dev/pts /dev/shm; ln -s /proc/self/fd /dev/fd
mount -t devpts devpts /dev/pts; mount -t tmpfs tmpfs /dev/shm; mount -t tmpfs tmpfs /run
# As systemd has it: no process in the root of the hierarchy.
mkdir /sys/fs/cgroup/init; echo $$ > /sys/fs/cgroup/init/cgroup.procs
ip link set lo up; hostname emulated; dmesg -n 1
for module in {" ".join(MODULES)}; do modprobe $module || echo "no module $module"; done
# An address beside the loopback's, of a network in which nobody else is.
ip link add net type dummy; ip address add 192.0.2.1/24 dev net; ip link set net up; ip route add default dev net
echo "{BEGUN}"
cd /root/holdfast
export PYTHONPATH=/root/holdfast/src:/root/packages
bash /root/command
echo "the command ended with status $?"
sync; mount -o remount,ro / 2>/dev/null; echo o > /proc/sysrq-trigger; sleep 60
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shell", metavar="COMMAND", help="a command line for bash instead of pytest")
    parser.add_argument("--within", metavar="S", type=float, default=1800.0, help="end it after so many seconds [1800]")
    options, arguments = parser.parse_known_args()
    if _missing() and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing Debian packages: {', '.join(NEEDED.values())}", flush=True)
        apt = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *NEEDED.values()]
        subprocess.run(
            apt, stdout=subprocess.DEVNULL, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
    if missing := _missing():
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    command = options.shell or f"python3 -m pytest -q --color=no -p no:cacheprovider {shlex.join(arguments)}"
    with tempfile.TemporaryDirectory(prefix="holdfast-emulated-") as directory:
        return boot(prepare(Path(directory), command), options.within)


def _missing() -> list[str]:
    search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    return [package for program, package in NEEDED.items() if shutil.which(program, path=search) is None]


def prepare(directory: Path, command: str) -> Path:
    """What the machine boots from: kernel, first root, and a disk with the system, this checkout and the command."""
    system = _system()
    root = directory / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", system, root], check=True)
    (directory / "kernel").write_bytes(next((root / "boot").glob("vmlinuz-*")).read_bytes())
    _first_root(root, directory / "first")
    _copy_checkout(root / "root")
    (root / "root" / "command").write_text(f"{command}\n")
    (root / "usr/sbin/init").write_text(INIT)
    (root / "usr/sbin/init").chmod(0o755)
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-d", root, directory / "disk", DISK], check=True, capture_output=True
    )
    shutil.rmtree(root)
    return directory


def _system() -> Path:
    """Debian unpacked, made once for each list of packages."""
    name = hashlib.sha256(repr((PACKAGES, KEEP_OUT)).encode()).hexdigest()[:12]
    system = CACHE / name
    if system.exists():
        return system
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    unfinished = CACHE / "unfinished"
    sources = (*Path("/etc/apt/sources.list.d").glob("*.sources"), Path("/etc/apt/sources.list"))
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in KEEP_OUT]
    subprocess.run([*command, "bookworm", unfinished, *(path for path in sources if path.exists())], check=True)
    _configure(unfinished)
    return unfinished.rename(system)


def _configure(system: Path) -> None:
    """What the packages' own scripts would do, as far as it is missed: nothing was run while they were unpacked."""
    for name in ("passwd", "group"):
        shutil.copy(system / "usr/share/base-passwd" / f"{name}.master", system / "etc" / name)
    for link, target in {"usr/bin/awk": "gawk", "usr/bin/sh": "dash", "etc/mtab": "/proc/self/mounts"}.items():
        (system / link).unlink(missing_ok=True)
        (system / link).symlink_to(target)
    (system / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 emulated\n")
    (system / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    for name in ("mnt", "media", "opt", "srv", "var/tmp"):
        (system / name).mkdir(exist_ok=True)
    (version,) = os.listdir(system / "lib/modules")
    subprocess.run(["chroot", system, "depmod", version], check=True)


def _first_root(root: Path, first: Path) -> None:
    """An archive of what finds the disk."""
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        for name in ("bin", "proc", "sys", "dev", "new"):
            (top / name).mkdir()
        shutil.copy(shutil.which("busybox") or "", top / "bin/busybox")
        for module in BOOT_MODULES:
            shutil.copy(next((root / "usr/lib/modules").rglob(f"{module}.ko")), top)
        (top / "init").write_text(FIRST_INIT)
        (top / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(top)) for path in top.rglob("*"))
        with first.open("wb") as archive:
            subprocess.run(
                ["cpio", "-o", "-H", "newc", "--quiet"], cwd=top, input=names.encode(), stdout=archive, check=True
            )


def _copy_checkout(home: Path) -> None:
    """This checkout as it is now, the packages it was installed with, and kubectl."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (home / "holdfast" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / "holdfast" / name)
    subprocess.run(["git", "init", "-q", home / "holdfast"], check=True)
    packages = ROOT / ".venv" / "lib" / f"python{PYTHON}" / "site-packages"
    subprocess.run(["cp", "-a", packages, home / "packages"], check=True)
    for path in home.glob("packages/*holdfast*"):  # a pointer to the checkout at hand
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if (ROOT / ".cache" / "kubectl-debian").exists():
        shutil.copytree(ROOT / ".cache" / "kubectl-debian", home / "holdfast/.cache/kubectl-debian")
    if kubectl := shutil.which("kubectl"):
        (home / "bin").mkdir()
        shutil.copy(kubectl, home / "bin/kubectl")


def boot(directory: Path, within_s: float) -> int:
    """Shows what the machine prints; the status of the command, 124 if it took too long."""
    machine = ["timeout", str(within_s), "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"]
    machine += ["-smp", str(os.cpu_count() or 1), "-m", str(MEMORY_MB), "-nographic", "-no-reboot"]
    machine += ["-kernel", str(directory / "kernel"), "-initrd", str(directory / "first"), "-nic", "none"]
    machine += ["-drive", f"file={directory / 'disk'},if=virtio,format=raw,cache=unsafe"]
    machine += ["-append", "console=ttyS0 quiet panic=-1"]
    status, has_begun = 124, False
    with subprocess.Popen(
        machine, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if ended := ENDED.match(line):
                status = int(ended[1])
                break
            if has_begun:
                print(line.rstrip(), flush=True)
            has_begun = has_begun or BEGUN in line  # behind what the firmware has printed
        running.terminate()
    return status


if __name__ == "__main__":
    sys.exit(main())
