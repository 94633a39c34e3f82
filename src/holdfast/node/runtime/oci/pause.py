"""The first process of a process namespace that the containers of a pod share; run as a program of its own.

Started inside the pod's other namespaces. Prints the pid of the first process, then only reaps what is
left to it. It holds no right at all: containers can see it.
"""

import ctypes
import os
import signal
import sys

_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
_PR_SET_NAME = 15
_NOBODY = 65535


def _reap_for_ever() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    while signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) == signal.SIGCHLD:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def _users() -> int:
    """How many users this user namespace knows."""
    with open("/proc/self/uid_map") as file:
        return sum(int(line.split()[2]) for line in file)


def main(empty_directory: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWPID) != 0:
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        os._exit(0)
    os.setsid()
    is_alone = _users() == 1
    if is_alone:  # nobody else's id to take: in a user namespace of its own it has no right outside of it
        libc.unshare(_CLONE_NEWUSER)
    libc.prctl(_PR_SET_NAME, b"pause", 0, 0, 0)
    os.chroot(empty_directory)
    os.chdir("/")
    if not is_alone:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    os.closerange(0, 3)
    _reap_for_ever()


if __name__ == "__main__":
    main(sys.argv[1])
