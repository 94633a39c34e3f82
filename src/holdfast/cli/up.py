"""`holdfast up`."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import click

from holdfast.api import feature_gates
from holdfast.cluster import launch
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.settings import IP_FAMILIES, PARTS, RUNTIMES, Settings
from holdfast.node import sysctls
from holdfast.node.eviction import thresholds
from holdfast.world import SystemClock

from .durations import Duration
from .output import Failure, home_option, step


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
@click.option("--foreground", is_flag=True, help="Run the daemon here, its log on the terminal.")
@click.option("--wait", "wait_s", type=float, default=60, show_default=True, help="Seconds to wait until ready.")
def command(
    home: Home,
    gates: Sequence[dict[str, bool]],
    eviction_hard: dict[str, str],
    shutdown_grace: timedelta | None,
    default_class: str | None,
    no_merge: bool,
    foreground: bool,
    wait_s: float,
    **given: Any,
) -> None:
    """Start the cluster and return when it is ready.

    The API answers on loopback with TLS, elsewhere only with --listen; the kubeconfig is written to the data directory
    and added as context `holdfast` to your own. A second `up` finds the first. What was chosen is remembered for the
    next start.
    """
    clock = SystemClock()
    begin = clock.monotonic_s()
    if found := launch.running(home):
        _merge(home, found.url, no_merge)
        _mark_default_class(home, default_class)
        if given["listen"] not in (None, (saved.load(home.settings) or Settings()).listen):
            raise Failure("it is up already; --listen takes a new start: holdfast down, then this again")
        click.echo(f"holdfast is up already at {found.url} (pid {found.pid})")
        return
    given["without"] = given["without"] or None
    given["shutdown_grace_s"] = None if shutdown_grace is None else shutdown_grace.total_seconds()
    settings = (saved.load(home.settings) or Settings()).changed(**given)
    if settings.is_joined:
        again = f"holdfast node --join {settings.server.removeprefix('https://')}"
        raise Failure(f"{home.path} is of a machine that has joined {settings.server}: {again}")
    settings = settings.with_gates(dict(ChainMap(*reversed(gates)))).with_thresholds(eviction_hard)
    if foreground:
        if default_class:
            raise click.UsageError("--default-class: once the cluster is up, with another `holdfast up`")
        _in_foreground(home, settings)
        return
    try:
        started = launch.start(home, settings, clock, wait_s=wait_s, report=step)
    except launch.LaunchFailed as error:
        raise Failure(str(error)) from error
    _merge(home, started.url, no_merge)
    _mark_default_class(home, default_class)
    _tell_of_limits(home)
    nodes = f"{settings.nodes} node{'s' * (settings.nodes != 1)} ready"
    click.echo(f"holdfast is up at {started.url}, {nodes}, in {clock.monotonic_s() - begin:.1f} s")
    click.echo(f"kubeconfig: {home.kubeconfig}" + ("" if no_merge else "   (context holdfast in your own)"))


def _tell_of_limits(home: Home) -> None:
    """What was found at the start, if it is less than one would expect."""
    found = saved.load(home.settings) or Settings()
    if found.is_rootless:
        step("containers run without root: `holdfast doctor` says what that leaves out")
    elif found.runtime == "auto" and found.nodes and found.driver == "process":
        step("no containers on this machine, pods are plain processes: `holdfast doctor` says what is missing")


def _in_foreground(home: Home, settings: Settings) -> None:
    from holdfast.cluster.daemon import main

    home.make()
    saved.save(home.settings, settings)
    raise SystemExit(main(["--home", str(home.path)]))


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


def _merge(home: Home, url: str, no_merge: bool) -> None:
    """Adds the context to the user's kubeconfig; a kubeconfig that cannot be read is a warning, not a failure."""
    if no_merge:
        return
    from holdfast.cluster import kubeconfig

    path = kubeconfig.user_path()
    try:
        kubeconfig.add_to_users_own(home, url, path)
    except (OSError, ValueError) as error:
        click.echo(f"holdfast: left {path} alone: {error}", err=True)
