"""Questions and orders to the kernel by netlink: the socket, messages and attributes. Blocking, for microseconds.

Written by hand because a library kept the interpreter to itself for longer than all else of a pod's start that is
not the container runtime's (docs/dependencies.md).

Source: the kernel's Documentation/userspace-api/netlink and rtnetlink(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

Attributes = dict[int, bytes]
"""By number. Of one that is there several times the last counts."""

REQUEST, ACK, ROOT, MATCH = 0x001, 0x004, 0x100, 0x200
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
"""Flags of messages; what they mean depends on the message."""

_HEADER, _ATTRIBUTE, _CODE = struct.Struct("=IHHII"), struct.Struct("=HH"), struct.Struct("=i")
_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10
_NESTED_AND_ORDER = 0xC000
_SOL_NETLINK, _STRICT = 270, 12
_RECEIVE_BYTES = 1 << 16
_ANSWER_WITHIN_S = 10.0
_MOST_LISTS = 10


class Netlink:
    """A socket of the network namespace that the calling thread is in when this is entered. All raise OSError."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(_ANSWER_WITHIN_S)
        with contextlib.suppress(OSError):  # kernels before 4.20 list more than was asked for
            self._socket.setsockopt(_SOL_NETLINK, _STRICT, 1)
        self._number = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def order(self, kind: int, flags: int, body: bytes) -> None:
        """Has the kernel do it. What it refuses is an OSError with its errno."""
        self._send(kind, flags | REQUEST | ACK, body)
        self._answers()

    def ask(self, kind: int, body: bytes) -> bytes:
        """The one answer."""
        self._send(kind, REQUEST | ACK, body)
        answers, _ = self._answers()
        if len(answers) != 1:
            raise OSError(errno.EPROTO, f"{len(answers)} answers of the kernel where there should be one")
        return answers[0]

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """All there are; asked again if some came or went meanwhile, so that none is missing."""
        for _ in range(_MOST_LISTS):
            self._send(kind, REQUEST | ROOT | MATCH, body)
            answers, is_whole = self._answers()
            if is_whole:
                break
        return answers

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._number += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._number, 0) + body)

    def _answers(self) -> tuple[list[bytes], bool]:
        """To the last question, up to the kernel's word that this was all; whether nothing changed meanwhile."""
        answers: list[bytes] = []
        is_whole = True
        while True:
            for kind, flags, number, body in _messages(self._socket.recv(_RECEIVE_BYTES)):
                if number != self._number:
                    continue  # to a question that was given up
                is_whole = is_whole and not flags & _INTERRUPTED
                if kind not in (_ERROR, _DONE):
                    answers.append(body)
                elif code := -_CODE.unpack_from(body)[0]:
                    raise OSError(code, os.strerror(code))
                else:
                    return answers, is_whole


def _messages(received: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, number and body of each."""
    at = 0
    while at + _HEADER.size <= len(received):
        length, kind, flags, number, _ = _HEADER.unpack_from(received, at)
        if length < _HEADER.size:
            return
        yield kind, flags, number, received[at + _HEADER.size : at + length]
        at += _aligned(length)


def attribute(number: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, number) + value + bytes(_aligned(length) - length)


def attributes(body: bytes, at: int) -> Attributes:
    """Those of a message, from `at` on."""
    found = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, number = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        found[number & ~_NESTED_AND_ORDER] = body[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
