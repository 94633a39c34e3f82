"""The supervisor of one plain process: starts it, writes its log, records its end (R44). A program of its own.

`python -I -S -E process_supervisor.py DIRECTORY FD`: `DIRECTORY/run.json` says what to run, `FD` gets one
line of JSON, `{"pid": N}` or `{"error": "..."}`. It outlives the agent. When the process has ended, whatever
it left behind is killed, as the end of a container's first process would, and `DIRECTORY/exit.json` tells
how it ended, by rename. SIGHUP reopens the log (R42).
"""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import sys
import time  # noqa: TID251 - a program of its own: it has no World, and its clock is the machine's

_PR_SET_CHILD_SUBREAPER = 36
_DRAIN_S = 2.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
_MOST_LINE = 16 << 10


class Log:
    """The output in CRI format: `TIMESTAMP STREAM F|P TEXT`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._rests = {"stdout": b"", "stderr": b""}
        self.reopen()

    def reopen(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def write(self, stream: str, data: bytes) -> None:
        stamp = _timestamp()
        *lines, rest = (self._rests[stream] + data).split(b"\n")
        out = [b"%s %s F %s\n" % (stamp, stream.encode(), line) for line in lines]
        while len(rest) >= _MOST_LINE:
            out.append(b"%s %s P %s\n" % (stamp, stream.encode(), rest[:_MOST_LINE]))
            rest = rest[_MOST_LINE:]
        self._rests[stream] = rest
        if out:
            os.write(self._file, b"".join(out))

    def finish(self) -> None:
        for stream, rest in self._rests.items():
            if rest:
                os.write(self._file, b"%s %s P %s\n" % (_timestamp(), stream.encode(), rest))


def _timestamp() -> bytes:
    now_ns = time.time_ns()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ns // 10**9))
    return f"{whole}.{now_ns % 10**9:09d}Z".encode()


def _start(run: dict, outputs: tuple[int, int]) -> int:  # type: ignore[type-arg]
    """Forks and executes; the pid. Raises OSError with the child's own reason."""
    program = _find(run["arguments"][0], run["environment"].get("PATH", ""))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _become(run, outputs)
            os.execve(program, run["arguments"], run["environment"])
        except OSError as error:
            os.write(writing, f"{error.errno} exec: {run['arguments'][0]}: {error.strerror}".encode())
        os._exit(127)
    os.close(writing)
    failure = os.read(reading, 4096).decode(errors="replace")
    os.close(reading)
    if failure:
        os.waitpid(pid, 0)
        number, _, words = failure.partition(" ")
        raise OSError(int(number), words)
    return pid


def _find(name: str, path: str) -> str:
    """Where the program is. Looked up before the fork: its user may not be able to read Python's own modules."""
    if "/" not in name:
        for directory in path.split(":"):
            candidate = os.path.join(directory, name)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
    return name


def _become(run: dict, outputs: tuple[int, int]) -> None:  # type: ignore[type-arg]
    """In the child: a session, streams, directory and user of its own."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for ignored in _IGNORED:
        signal.signal(ignored, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    os.chdir(run["directory"])
    if run["groups"] is not None:
        os.setgroups(run["groups"])
    if run["gid"] is not None:
        os.setgid(run["gid"])
    if run["uid"] is not None:
        os.setuid(run["uid"])


def _watch(pid: int, streams: dict[int, str], log: Log) -> int:
    """Copies output until the process has ended and its streams are empty; the wait status."""
    selector = selectors.DefaultSelector()
    ended = os.pidfd_open(pid)
    selector.register(ended, selectors.EVENT_READ)
    for descriptor in streams:
        os.set_blocking(descriptor, False)
        selector.register(descriptor, selectors.EVENT_READ)
    status = None
    deadline_s = 0.0
    while status is None or (streams and time.monotonic() < deadline_s):
        for key, _ in selector.select(None if status is None else max(0.0, deadline_s - time.monotonic())):
            descriptor = key.fd
            if descriptor == ended:
                selector.unregister(ended)
                status = os.waitpid(pid, 0)[1]
                _kill_rest(pid)
                deadline_s = time.monotonic() + _DRAIN_S
                continue
            try:
                data = os.read(descriptor, 64 << 10)
            except BlockingIOError:
                continue
            if data:
                log.write(streams[descriptor], data)
            else:
                selector.unregister(descriptor)
                del streams[descriptor]
    return status


def _kill_rest(pid: int) -> None:
    """What the process left behind: its group, and everything that was handed to us as its reaper."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    for _ in range(100):
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                children = [int(word) for word in file.read().split()]
        except OSError:
            children = []
        if not children:
            return
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _record(directory: str, status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    text = json.dumps({"exit_code": code if code >= 0 else 128 - code, "finished_s": time.time()})
    temporary = os.path.join(directory, ".exit.json")
    with open(temporary, "w") as file:
        file.write(text)
    os.replace(temporary, os.path.join(directory, "exit.json"))


def main(directory: str, answer: int) -> None:
    os.setsid()
    for ignored in _IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(os.path.join(directory, "run.json")) as file:
        run = json.load(file)
    log = Log(run["log"])
    signal.signal(signal.SIGHUP, lambda number, frame: log.reopen())
    outputs, errors = os.pipe(), os.pipe()
    try:
        pid = _start(run, (outputs[1], errors[1]))
    except OSError as error:
        os.write(answer, json.dumps({"error": error.strerror or str(error)}).encode() + b"\n")
        sys.exit(1)
    os.close(outputs[1])
    os.close(errors[1])
    os.write(answer, json.dumps({"pid": pid}).encode() + b"\n")
    os.close(answer)
    status = _watch(pid, {outputs[0]: "stdout", errors[0]: "stderr"}, log)
    log.finish()
    _record(directory, status)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
