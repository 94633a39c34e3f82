"""`holdfast forward`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from holdfast.api.errors import ApiError
from holdfast.client.kubeconfig import Connection, KubeconfigError, read_kubeconfig
from holdfast.cluster.connect import as_administrator
from holdfast.cluster.forward.forwarder import Forwarder, Listening
from holdfast.cluster.forward.targets import Port, Target, Unclear, parse_port, parse_target
from holdfast.cluster.home import Home
from holdfast.cluster.listening import CannotListen
from holdfast.world import real_world

from .durations import Seconds
from .output import Failure, home_option, output_option, step


@click.command("forward", short_help="A port of a pod, set or service, here.")
@home_option
@output_option
@click.option("-n", "--namespace", help="Where the target is (default: that of the kubeconfig, else default).")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--wait",
    "wait_s",
    type=Seconds(),
    default=60,
    show_default=True,
    help="Seconds that a connection waits for a pod.",
)
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Of another cluster; this one's if left out.")
@click.argument("target")
@click.argument("ports", nargs=-1, required=True, metavar="[LOCAL:]PORT...")
def command(
    home: Home,
    output: str,
    namespace: str | None,
    address: str,
    wait_s: float,
    kubeconfig: Path | None,
    target: str,
    ports: Sequence[str],
) -> None:
    """Open ports of a pod, set or service on this machine, and keep them open when the pod is replaced.

    \b
    holdfast forward sts/postgres-0 5432         the same port here
    holdfast forward sts/postgres-0 15432:5432   another one
    holdfast forward svc/web :http               any free one, of the service's port by name

    A connection made while the pod is away waits for it. One that is open when its pod goes breaks, as it would
    on any network: have the client reconnect. Ends with Ctrl-C.
    """
    try:
        meant, wanted = parse_target(target), [parse_port(port) for port in ports]
    except Unclear as error:
        raise click.UsageError(str(error)) from error
    connection = _connection(home, kubeconfig)
    try:
        namespace = namespace or connection().namespace
        forwarder = Forwarder(connection, namespace, meant, wait_s=wait_s, clock=real_world().clock, say=step)
        asyncio.run(_forward(forwarder, meant, address, wanted, output))
    except KeyboardInterrupt:
        return
    except TimeoutError as error:
        raise Failure(f"{meant} was not ready within {wait_s:g} s") from error
    except (ApiError, Unclear, KubeconfigError, CannotListen, OSError) as error:
        raise Failure(str(error)) from error


def _connection(home: Home, kubeconfig: Path | None) -> Callable[[], Connection]:
    if kubeconfig is not None:
        return lambda: read_kubeconfig(kubeconfig)
    return lambda: as_administrator(home)


async def _forward(forwarder: Forwarder, target: Target, address: str, ports: Sequence[Port], output: str) -> None:
    async with forwarder.listening(address, ports) as opened:
        for listening in opened:
            click.echo(_as_json(listening, target) if output == "json" else _as_text(listening, target))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


def _as_json(listening: Listening, target: Target) -> str:
    found = {"address": listening.address, "port": listening.port, "target": str(target), "remote": listening.remote}
    return msgspec.json.encode(found).decode()


def _as_text(listening: Listening, target: Target) -> str:
    return f"Forwarding from {listening.address}:{listening.port} -> {target} port {listening.remote}"
