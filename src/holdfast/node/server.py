"""The agent's HTTPS endpoint: logs, exec, attach, port-forward and statistics, under the kubelet's own URLs.

Only the API server calls it, with its client certificate; who may do what was decided there.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from ssl import SSLContext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from holdfast.api.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
)
from holdfast.wire import http
from holdfast.wire.duplex import Duplex
from holdfast.wire.http import Answer, Request, Response, Upgrade
from holdfast.wire.pumping import streamed

from .asked import (
    Query,
    choose_subprotocol,
    choose_version,
    container_of,
    flag,
    log_options,
    parse_query,
    ports,
    refusal,
    running_container,
    spdy_headers,
    waiting_text,
    wanted_streams,
)
from .logs import read_log
from .streaming import NotRunning, PodSource, PodView

if TYPE_CHECKING:
    from holdfast.wire.websocket import WebSocket

    from .runtime import Process, Runtime
    from .statistics.sampling import Statistics
    from .streaming.channels import Subprotocol
    from .streaming.command import Wanted, Work

log = logging.getLogger(__name__)

Session = Callable[[Duplex], Coroutine[Any, Any, None]]
Certificate = dict[str, Any] | None


def is_api_server(certificate: Certificate) -> bool:
    """Whether the (verified) certificate is of the group that the API server presents itself in."""
    if certificate is None:
        return False
    return any(
        name == "organizationName" and value == "system:masters"
        for part in certificate.get("subject", ())
        for name, value in part
    )


class AgentServer:
    """Serves the pods that `source` knows, through `runtime`."""

    def __init__(
        self,
        source: PodSource,
        runtime: Runtime,
        *,
        is_trusted: Callable[[Certificate], bool] = is_api_server,
        started: asyncio.Event | None = None,
        statistics: Statistics | None = None,
        admits: Callable[[], bool] = lambda: True,
    ) -> None:
        """Requests wait until `started` is set: an agent that has just come back does not know its pods yet.

        While `admits` says no, nobody is heard.
        """
        self._admits = admits
        self._started = started
        self._statistics = statistics
        self._source = source
        self._runtime = runtime
        self._is_trusted = is_trusted
        self._sessions: set[asyncio.Task[None]] = set()
        self._server: http.Server

    async def listen(self, host: str, port: int, ssl: SSLContext | None, made: socket.socket | None = None) -> int:
        """The port. `ssl` should require client certificates of the cluster's authority.

        `made` is a socket that listens already, to be taken instead of one on `host` and `port`.
        """
        self._server = await http.serve(
            self.handle, host=host, port=port, sock=made, ssl=ssl, failed=_failed, admits=lambda address: self._admits()
        )
        return self._server.port

    async def close(self) -> None:
        await self._server.close()
        for session in self._sessions:
            session.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions)

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        if not self._admits():
            return refusal(ServiceUnavailable("the node is cut off"))
        if self._started is None or self._started.is_set():
            return self._answer(request)
        return self._answer_later(request, self._started)

    async def _answer_later(self, request: Request, started: asyncio.Event) -> Answer:
        await started.wait()
        answer = self._answer(request)
        return await answer if isinstance(answer, Awaitable) else answer

    def _answer(self, request: Request) -> Answer | Awaitable[Answer]:
        try:
            return self._route(request)
        except NotRunning as absence:
            return Response(500, str(absence).encode(), "text/plain; charset=utf-8")
        except ApiError as error:
            return refusal(error)

    def _route(self, request: Request) -> Answer | Awaitable[Answer]:
        if request.path == "/healthz":
            return Response(200, b"ok", "text/plain; charset=utf-8")
        if not self._is_trusted(request.peer_certificate):
            raise Forbidden("forbidden: only the API server may do this")
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        query = parse_query(request.query)
        match [unquote(part) for part in request.path.split("/")]:
            case ["", "metrics", *rest] if self._statistics and (body := _metrics(self._statistics, rest)):
                return _exposed(body)
            case ["", "stats", "summary"] if self._statistics:
                return self._summary(self._statistics)
            case ["", "containerLogs", namespace, name, container]:
                pod = self._source.find_pod(namespace, name)
                if pod is None:
                    # The API server asks only for pods bound here, so this one is merely new.
                    raise BadRequest(waiting_text(name, container, "ContainerCreating"))
                return self._logs(request, query, pod, container)
            case ["", "exec", namespace, name, container]:
                return self._exec(request, query, self._pod(namespace, name), container)
            case ["", "attach", namespace, name, container]:
                return self._attach(request, query, self._pod(namespace, name), container)
            case ["", "portForward", namespace, name]:
                return self._forward(request, query, self._pod(namespace, name))
        raise NotFound("the server could not find the requested resource")

    def _pod(self, namespace: str, name: str) -> PodView:
        pod = self._source.find_pod(namespace, name)
        if pod is None:
            raise NotFound(f'pods "{name}" not found', name=name, kind="pods")
        return pod

    # Statistics

    async def _summary(self, statistics: Statistics) -> Response:
        return Response(200, msgspec.json.encode(await statistics.summary()), "application/json")

    # Logs

    def _logs(self, request: Request, query: Query, pod: PodView, name: str) -> Answer:
        container = container_of(pod, name)
        options = log_options(query)
        if flag(query, "previous"):
            if not container.previous_log_path:
                raise BadRequest(f'previous terminated container "{name}" in pod "{pod.name}" not found')
            path, run_id = container.previous_log_path, ""
        else:
            if not container.log_path:
                raise BadRequest(waiting_text(pod.name, name, container.waiting_reason))
            path, run_id = container.log_path, container.log_id

        def is_running() -> bool:
            return bool(run_id) and self._source.is_running(run_id)

        pieces = read_log(path, options, is_running)
        if request.upgrade == "websocket":
            return self._logs_in_messages(request, pieces)
        return streamed(200, "text/plain", (), pieces)

    def _logs_in_messages(self, request: Request, pieces: AsyncGenerator[bytes, None]) -> Answer:
        from .streaming import channels

        subprotocol = choose_subprotocol(request, channels.LOG, channels.LOG_DEFAULT)

        async def session(socket: WebSocket) -> None:
            await channels.send_log(socket, subprotocol, pieces)

        return self._websocket(request, subprotocol, session)

    # Commands

    def _exec(self, request: Request, query: Query, pod: PodView, name: str) -> Answer:
        from .streaming import outcome
        from .streaming.command import Work

        command = query.get("command", ())
        if not command:
            raise BadRequest("you must specify at least one command for the container")
        container_of(pod, name)
        wanted = wanted_streams(query)

        def start() -> Awaitable[Process]:
            run = running_container(pod, name)
            return self._runtime.exec(
                run, command, stdin=wanted.stdin, stdout=wanted.stdout, stderr=wanted.stderr, tty=wanted.tty
            )

        work = Work(start, "executing command in", lambda exit_code: outcome.of_exit(exit_code, command))
        return self._command(request, wanted, work, lambda: running_container(pod, name))

    def _attach(self, request: Request, query: Query, pod: PodView, name: str) -> Answer:
        from .streaming import outcome
        from .streaming.command import Work

        container = container_of(pod, name)
        wanted = wanted_streams(query)

        def start() -> Awaitable[Process]:
            # A174: a first process has the input and the terminal that its container was given.
            return self._runtime.attach(
                running_container(pod, name),
                stdin=wanted.stdin and container.stdin,
                stdout=wanted.stdout,
                stderr=wanted.stderr and not container.tty,
                tty=container.tty,
            )

        work = Work(start, "attaching to", lambda exit_code: outcome.SUCCESS)
        return self._command(request, wanted, work, lambda: running_container(pod, name))

    def _command(self, request: Request, wanted: Wanted, work: Work, check: Callable[[], object]) -> Answer:
        """Only the newest protocol is told of a container that does not run after the upgrade: see `NotRunning`."""
        from .streaming import channels, spdy_command
        from .streaming.command import serve_command

        if request.upgrade == "websocket":
            subprotocol = choose_subprotocol(request, channels.COMMAND, channels.V1)
            if not subprotocol.can_half_close:
                check()

            async def in_messages(socket: WebSocket) -> None:
                client = channels.WebSocketCommandClient(socket, subprotocol, wanted)
                async with asyncio.TaskGroup() as group:
                    reading = group.create_task(client.run())
                    await serve_command(client, work)
                    reading.cancel()

            return self._websocket(request, subprotocol, in_messages, reads=True)

        version = choose_version(request, spdy_command.choose_version, spdy_command.VERSIONS)
        check()

        async def in_streams(duplex: Duplex) -> None:
            client = spdy_command.SpdyCommandClient(duplex, version, wanted)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(client.run())
                if await client.ready():
                    await serve_command(client, work)
                reading.cancel()

        return self._upgrade(spdy_headers(version), in_streams)

    # Ports

    def _forward(self, request: Request, query: Query, pod: PodView) -> Answer:
        from holdfast.wire.websocket import MessageStream, offered_subprotocols

        from .streaming import channels, forward

        target = forward.Target(pod.namespace, pod.name, pod.uid, lambda port: self._runtime.dial(pod.uid, port))
        if request.upgrade != "websocket":
            version = choose_version(request, forward.choose_version, (forward.SPDY_VERSION,))
            return self._upgrade(spdy_headers(version), lambda duplex: forward.SpdyForwarder(duplex, target).run())
        if forward.TUNNEL in offered_subprotocols(request):

            async def in_tunnel(socket: WebSocket) -> None:
                await forward.SpdyForwarder(MessageStream(socket), target).run()

            return self._websocket(request, channels.Subprotocol(forward.TUNNEL), in_tunnel, reads=True)
        subprotocol = choose_subprotocol(request, channels.FORWARD, channels.FORWARD_DEFAULT)
        numbers = ports(query)

        async def in_channels(socket: WebSocket) -> None:
            await forward.ChannelForwarder(socket, subprotocol, target, numbers).run()

        return self._websocket(request, subprotocol, in_channels, reads=True)

    # Sessions

    def _websocket(
        self,
        request: Request,
        subprotocol: Subprotocol,
        session: Callable[[WebSocket], Coroutine[Any, Any, None]],
        *,
        reads: bool = False,
    ) -> Answer:
        """`reads` says that the session itself receives messages; otherwise they are received and dropped."""
        from holdfast.wire.websocket import BadHandshake, WebSocket, accept_headers, offered_subprotocols

        offered = offered_subprotocols(request)
        try:
            headers = accept_headers(request, subprotocol.name if offered else "")
        except BadHandshake as error:
            raise BadRequest(str(error)) from error

        async def run(duplex: Duplex) -> None:
            socket = WebSocket(duplex)
            if reads:
                await session(socket)
            else:
                await _until_either_ends(socket, session)

        return self._upgrade(headers, run)

    def _upgrade(self, headers: http.Headers, session: Session) -> Upgrade:
        async def run(duplex: Duplex) -> None:
            try:
                await session(duplex)
            except Exception:  # the edge: one session must not take the agent down
                log.exception("a streaming session failed")
            finally:
                duplex.close()

        def start(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
            duplex = Duplex(transport, received)
            task = asyncio.get_running_loop().create_task(run(duplex))
            self._sessions.add(task)
            task.add_done_callback(self._sessions.discard)
            return duplex

        return Upgrade(headers, start)


def _metrics(statistics: Statistics, path: list[str]) -> Awaitable[str] | None:
    match path:
        case []:
            return statistics.agent()
        case ["resource"]:
            return statistics.resources()
        case ["cadvisor"]:
            return statistics.containers()
    return None


async def _exposed(body: Awaitable[str]) -> Response:
    from holdfast.wire.prometheus import CONTENT_TYPE

    return Response(200, (await body).encode(), CONTENT_TYPE)


async def _until_either_ends(socket: WebSocket, session: Callable[[WebSocket], Coroutine[Any, Any, None]]) -> None:
    """For a session that only sends: somebody has to answer pings and notice the client's leaving."""
    from holdfast.wire.websocket import CLOSE_WITHIN_S

    async def receive() -> None:
        while await socket.receive() is not None:
            pass

    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(receive())
        sending = group.create_task(session(socket))
        await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        socket.close()
        await asyncio.wait((receiving,), timeout=CLOSE_WITHIN_S)
        receiving.cancel()


def _failed(request: Request, error: Exception) -> Response:
    return refusal(InternalError(f"Internal error occurred: {error}"))
