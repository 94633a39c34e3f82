"""A runtime whose containers are this machine's own processes, and an agent that knows one pod."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.node.runtime import RuntimeFailure
from holdfast.node.runtime.oci.processes import Child
from holdfast.node.runtime.oci.streams import pipe_writer, reader_of, writer_of
from holdfast.node.streaming import ContainerView, PodView


class LocalProcess:
    """`holdfast.node.runtime.Process` over a process of this machine."""

    def __init__(self, child: Child, stdin: Any, stdout: Any, stderr: Any, terminal: int = -1) -> None:
        self.child = child
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._terminal = terminal

    @property
    def has_ended(self) -> bool:
        return self.child.popen.returncode is not None

    async def wait(self) -> int:
        return await self.child.wait()

    def resize(self, width: int, height: int) -> None:
        if self._terminal >= 0:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def kill(self) -> None:
        self.child.signal(signal.SIGKILL)
        await self.child.wait()
        if self.stdin is not None:
            self.stdin.transport.abort()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1


@dataclass
class LocalRuntime:
    """The calls of `holdfast.node.runtime.Runtime` that streaming makes."""

    started: list[LocalProcess] = field(default_factory=list)
    has_started: asyncio.Event = field(default_factory=asyncio.Event)
    attach_command: tuple[str, ...] = ("cat",)

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> LocalProcess:
        try:
            process = _in_terminal(command) if tty else _with_pipes(command, stdin, stdout, stderr)
        except FileNotFoundError as error:
            raise RuntimeFailure("ExecFailed", f'exec: "{command[0]}": executable file not found in $PATH') from error
        self.started.append(process)
        self.has_started.set()
        return process

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> LocalProcess:
        return await self.exec(container_id, self.attach_command, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)

    async def dial(self, pod_uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)


def _with_pipes(command: Sequence[str], stdin: bool, stdout: bool, stderr: bool) -> LocalProcess:
    inputs, outputs, errors = (os.pipe2(os.O_CLOEXEC) if wanted else None for wanted in (stdin, stdout, stderr))
    given: dict[str, Any] = {}
    if inputs:
        given["stdin"] = inputs[0]
    if outputs:
        given["stdout"] = outputs[1]
    if errors:
        given["stderr"] = errors[1]
    child = Child(command, **given)
    for descriptor in given.values():
        os.close(descriptor)
    return LocalProcess(
        child,
        pipe_writer(inputs[1]) if inputs else None,
        reader_of(outputs[0]) if outputs else None,
        reader_of(errors[0]) if errors else None,
    )


def _in_terminal(command: Sequence[str]) -> LocalProcess:
    master, slave = pty.openpty()
    child = Child(["setsid", "--ctty", "--wait", *command], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    writing = os.dup(master)
    stdin = writer_of(writing, lambda data: os.write(writing, data), lambda: None)
    return LocalProcess(child, stdin, reader_of(master), None, writing)


@dataclass
class OnePod:
    """A `PodSource` of the pod `default/web-0`."""

    containers: dict[str, ContainerView]
    running: set[str] = field(default_factory=set)

    def find_pod(self, namespace: str, name: str) -> PodView | None:
        if (namespace, name) != ("default", "web-0"):
            return None
        return PodView("default", "web-0", "0b5c", self.containers)

    def is_running(self, container_id: str) -> bool:
        return container_id in self.running
