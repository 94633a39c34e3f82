"""What a container said at its end (N176, N177). Pure."""

from __future__ import annotations

from collections.abc import Iterable

MOST_BYTES = 4096
MOST_LOG_BYTES = 2048
MOST_LOG_LINES = 80
MOST_BYTES_OF_POD = 12 << 10


def share_bytes(containers: int) -> int:
    """What each container of a pod may say: 12 KiB among all, 4 KiB at most."""
    return min(MOST_BYTES, MOST_BYTES_OF_POD // max(containers, 1))


def message(file: bytes, policy: str, exit_code: int, log: Iterable[str], most_bytes: int = MOST_BYTES) -> str:
    """The message: the file's end, or under FallbackToLogsOnError after a failure the log's.

    `log` is only read if it is needed; it yields the log's last lines, without marks, oldest first.
    """
    if file:
        return _end(file, most_bytes)
    if policy != "FallbackToLogsOnError" or exit_code == 0:
        return ""
    lines = list(log)[-MOST_LOG_LINES:]
    return _end("".join(lines).encode(), min(MOST_LOG_BYTES, most_bytes))


def _end(text: bytes, most_bytes: int) -> str:
    return text[-most_bytes:].decode("utf-8", "replace")
