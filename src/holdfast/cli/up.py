"""`holdfast up`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from holdfast import __version__
from holdfast.api import feature_gates
from holdfast.cluster import launch
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.settings import IP_FAMILIES, PARTS, RUNTIMES, Settings
from holdfast.cluster.settling import found_or_started, is_starting
from holdfast.node import sysctls
from holdfast.node.eviction import thresholds
from holdfast.world import SystemClock

from .durations import Duration, Seconds
from .output import Failure, Interrupted, home_option, step

OPTIONS = {"shutdown_grace_s": "shutdown-grace-period"}
"""Of settings that are called otherwise."""


def _addresses(given: Sequence[str]) -> tuple[str, ...] | None:
    """As settings keep them; None if the option was not given."""
    if not given:
        return None
    from holdfast.cluster import listening

    try:
        return listening.chosen(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _sysctls(text: str | None) -> tuple[str, ...] | None:
    """As settings keep them; None if the option was not given."""
    try:
        return None if text is None else sysctls.read_option(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


class _Pairs(click.ParamType[dict[str, Any]]):
    """As upstream's flags take them."""

    def __init__(self, name: str, parse: Callable[[str], dict[str, Any]]) -> None:
        """`parse` raises ValueError."""
        self.name = name
        self._parse = parse

    def convert(
        self, value: str | dict[str, Any], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("up")
@home_option
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the API on loopback; 0 picks one. [6443]")
@click.option(
    "--listen",
    metavar="ADDRESS",
    multiple=True,
    callback=lambda context, option, given: _addresses(given),
    help="An address of this machine on which the API answers other machines too, beyond loopback; may be repeated; "
    "0.0.0.0 and :: are all of them. Whoever reaches it may try: only certificates and tokens of this cluster are let "
    "in, but keep it off networks you do not trust. 127.0.0.1 takes it back. [127.0.0.1]",
)
@click.option("--runtime", type=click.Choice(RUNTIMES), help="What runs the containers. [auto]")
@click.option("--nodes", type=click.IntRange(0, 64), help="Number of nodes on this machine; 0 runs no agent. [1]")
@click.option("--store", type=click.Choice(["sqlite", "memory"]), help="Where the state lives. [sqlite]")
@click.option("--without", multiple=True, type=click.Choice(PARTS), help="A part not to run here; may be repeated.")
@click.option(
    "--ip-families",
    type=click.Choice([",".join(families) for families in IP_FAMILIES]),
    callback=lambda context, option, text: text and tuple(text.split(",")),
    help="Of which families pods and services may have addresses. [IPv4]",
)
@click.option(
    "--feature-gates",
    "gates",
    multiple=True,
    type=_Pairs("name=true|false,...", feature_gates.parse),
    help="Upstream's feature gates to turn on or off. Known: "
    + ", ".join(f"{name} ({stage})" for name, stage in feature_gates.KNOWN.items()),
)
@click.option(
    "--eviction-hard",
    type=_Pairs("signal<value,...", thresholds.read_option),
    default="",
    help="Below what pods of a node are ended, as the kubelet's flag: memory.available<100Mi,nodefs.available<10%. "
    "Those not named stay as they were; 0% turns one off. [the kubelet's, but of a disk at most 1Gi]",
)
@click.option(
    "--allowed-unsafe-sysctls",
    metavar="NAME,...",
    callback=lambda context, option, given: _sysctls(given),
    help="What pods may set beyond the sysctls that are safe, as the kubelet's flag: kernel.msg*,net.core.somaxconn. "
    "An empty text takes them back. [none]",
)
@click.option(
    "--shutdown-grace-period",
    "shutdown_grace",
    type=Duration(),
    help="How long all pods together may take to stop with the cluster, as the kubelet has it: they have failed then, "
    "and their owners make others at the next start. 0: each has its own time, and goes on with the next start. [0]",
)
@click.option(
    "--default-class",
    metavar="CLASS|none",
    help="The storage class of claims that name none, marked as upstream's annotation does; `none` leaves such claims "
    "to volumes made by hand. Also of a cluster that is up. [standard]",
)
@click.option("--no-merge", is_flag=True, help="Leave your own kubeconfig alone.")
@click.option(
    "--foreground",
    is_flag=True,
    help="Stay until the cluster is down, for whoever supervises (`holdfast service`). SIGTERM ends the daemon and "
    "leaves the pods to the next start; SIGINT stops the pods first.",
)
@click.option("--wait", "wait_s", type=Seconds(), default=60, show_default=True, help="Seconds to wait until ready.")
def command(home: Home, foreground: bool, **wanted: Any) -> None:
    """Start the cluster and return when it is ready.

    The API answers on loopback with TLS, elsewhere only with --listen; the kubeconfig is written to the data directory
    and added as context `holdfast` to your own. A second `up` finds the first. What was chosen is remembered for the
    next start.
    """
    with _failing(home):
        if foreground:
            raise SystemExit(_stay(home, wanted))
        _bring_up(home, step, **wanted)
    _tell_of_service(home)


def _stay(home: Home, wanted: dict[str, Any]) -> int:
    from holdfast.cluster.foreground import stay
    from holdfast.cluster.supervisor import Supervisor

    supervisor = Supervisor.of()

    def report(text: str) -> None:
        supervisor.status(text)
        step(text)

    return stay(home, supervisor, report, lambda: _bring_up(home, report, is_joined_too=True, **wanted))


def _bring_up(
    home: Home,
    report: launch.Report,
    *,
    gates: Sequence[dict[str, bool]],
    eviction_hard: dict[str, str],
    shutdown_grace: timedelta | None,
    default_class: str | None,
    no_merge: bool,
    wait_s: float,
    is_joined_too: bool = False,
    **given: Any,
) -> str:
    """Returns when it is ready, or was, with the line that has been printed about it. Raises LaunchFailed."""
    clock = SystemClock()
    begin = clock.monotonic_s()
    before = saved.load(home.settings) or Settings()
    if before.is_joined:
        return _said(_join_again(home, before, report, wait_s, is_joined_too, given))
    given["without"] = given["without"] or None
    given["shutdown_grace_s"] = None if shutdown_grace is None else shutdown_grace.total_seconds()

    def wanted(before: Settings) -> Settings:
        return before.changed(**given).with_gates(dict(ChainMap(*reversed(gates)))).with_thresholds(eviction_hard)

    found, is_new = found_or_started(home, wanted, clock, wait_s=wait_s, report=report)
    is_merged = not no_merge and _merge(home, found.url)
    _mark_default_class(home, default_class)
    settings = saved.load(home.settings) or Settings()
    if not is_new:
        _refuse_changes(settings, wanted(settings))
        if found.version not in ("", __version__):
            step(f"what is up is version {found.version}: `holdfast down`, then `holdfast up`, for {__version__}")
        return _said(f"holdfast is up already at {found.url} (pid {found.pid})")
    _tell_of_limits(settings)
    nodes = f"{settings.nodes} node{'s' * (settings.nodes != 1)} ready"
    line = _said(f"holdfast is up at {found.url}, {nodes}, in {clock.monotonic_s() - begin:.1f} s")
    click.echo(f"kubeconfig: {home.kubeconfig}" + ("   (context holdfast in your own)" if is_merged else ""))
    return line


def _join_again(
    home: Home, before: Settings, report: launch.Report, wait_s: float, is_joined_too: bool, given: dict[str, Any]
) -> str:
    """Who supervises need not know which kind of machine this is; who types is told what it is."""
    server = before.server.removeprefix("https://")
    if not is_joined_too:
        again = f"holdfast node --join {server}"
        raise Failure(f"{home.path} is of a machine that has joined {before.server}: {again}")
    if any(value not in (None, ()) for value in given.values()):
        raise click.UsageError(f"this machine has joined {before.server}: how the cluster is to be is said there")
    from .node import join_cluster

    return join_cluster(home, server, wait_s=wait_s, report=report)


def _said(line: str) -> str:
    click.echo(line)
    return line


@contextlib.contextmanager
def _failing(home: Home) -> Iterator[None]:
    try:
        yield
    except launch.LaunchFailed as error:
        raise Failure(str(error)) from error
    except KeyboardInterrupt as error:
        if not is_starting(home):
            raise
        raise Interrupted("the cluster goes on starting, `holdfast down` stops it") from error


def _refuse_changes(before: Settings, settings: Settings) -> None:
    """What was asked of a cluster that is up, and is otherwise."""
    was, asked = asdict(before), asdict(settings.changed(port=settings.port or before.port))
    if changed := [OPTIONS.get(name, name) for name in was if was[name] != asked[name]]:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in changed)
        takes = "takes" if len(changed) == 1 else "take"
        raise Failure(f"it is up already; {options} {takes} a new start: holdfast down, then this again")


def _tell_of_limits(found: Settings) -> None:
    """What the start has found, if it is less than one would expect."""
    if found.is_rootless:
        step("containers run without root: `holdfast doctor` says what that leaves out")
    elif found.runtime == "auto" and found.nodes and found.driver == "process":
        step("no containers on this machine, pods are plain processes: `holdfast doctor` says what is missing")


def _tell_of_service(home: Home) -> None:
    from holdfast.cluster.boot import Boot

    boot = Boot(home)
    if (found := boot.find()) is not None and not found.active:
        step(f"nobody starts it again should it die, before: {boot.command('start')}")


def _mark_default_class(home: Home, name: str | None) -> None:
    if not name:
        return
    from holdfast.api.errors import ApiError
    from holdfast.cluster.connect import connect
    from holdfast.controllers.volumes.bootstrap import NoSuchClass, set_default_class

    async def mark() -> None:
        async with connect(home) as client:
            await set_default_class(client, name)

    try:
        asyncio.run(mark())
    except NoSuchClass as error:
        raise Failure(f'the cluster is up, but there is no storage class "{name}": kubectl get storageclass') from error
    except ApiError as error:
        raise Failure(f"the cluster is up, but its default class was not changed: {error}") from error


def _merge(home: Home, url: str) -> bool:
    """Adds the context to the user's kubeconfig. One that cannot be read or written is a warning, not a failure."""
    from holdfast.cluster import kubeconfig

    try:
        if kubeconfig.add_to_users_own(home, url, kubeconfig.user_path()):
            step("the context holdfast of your own kubeconfig led to another cluster, and leads to this one now")
    except (OSError, ValueError, RuntimeError) as error:
        click.echo(f"holdfast: left your own kubeconfig alone: {error}", err=True)
        return False
    return True
