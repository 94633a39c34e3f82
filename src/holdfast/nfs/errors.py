"""NFS's errors, and what a program on this machine is to see of them."""

from __future__ import annotations

import errno
import os

DELAY, GRACE = 10008, 10013
MINOR_VERSION_MISMATCH = 10021
STALE_CLIENT, BAD_SESSION, BAD_SLOT, NOT_BOUND, MISORDERED = 10022, 10052, 10053, 10055, 10063
UNCACHED_REPLY, FALSE_RETRY, DEAD_SESSION = 10068, 10076, 10078

SESSION_LOST = frozenset({STALE_CLIENT, BAD_SESSION, BAD_SLOT, NOT_BOUND, MISORDERED, FALSE_RETRY, DEAD_SESSION})

_AS_ERRNO = {
    63: errno.ENAMETOOLONG,
    66: errno.ENOTEMPTY,
    69: errno.EDQUOT,
    70: errno.ESTALE,
    10001: errno.ESTALE,  # BADHANDLE
    10003: errno.EIO,  # BAD_COOKIE
    10004: errno.EOPNOTSUPP,  # NOTSUPP
    10005: errno.EIO,  # TOOSMALL
    10006: errno.EIO,  # SERVERFAULT
    10007: errno.EINVAL,  # BADTYPE
    10012: errno.EAGAIN,  # LOCKED
    10014: errno.ESTALE,  # FHEXPIRED
    10015: errno.EACCES,  # SHARE_DENIED
    10016: errno.EPERM,  # WRONGSEC
    10029: errno.ELOOP,  # SYMLINK
    10032: errno.EINVAL,  # ATTRNOTSUPP
    10038: errno.EACCES,  # OPENMODE
    10039: errno.EINVAL,  # BADOWNER
    10040: errno.EINVAL,  # BADCHAR
    10041: errno.EINVAL,  # BADNAME
    10046: errno.EBUSY,  # FILE_OPEN
}


class NfsError(OSError):
    """An operation that the server refused; `errno` is what programs see, `status` the server's own number.

    Being a class of its own it is never a FileNotFoundError and the like: look at `errno`.
    """

    def __init__(self, status: int, operation: int = 0) -> None:
        number = status if status < 63 else _AS_ERRNO.get(status, errno.EIO)
        super().__init__(number, os.strerror(number))
        self.status = status
        self.operation = operation
