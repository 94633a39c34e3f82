"""`holdfast dns`."""

from __future__ import annotations

from dataclasses import asdict

import click

from holdfast.cluster import launch, settings
from holdfast.cluster.home import Home, none_is_up
from holdfast.cluster.overview import DOMAIN
from holdfast.cluster.resolver_hook import Hook, hook
from holdfast.cluster.rootless import Namespaces
from holdfast.cluster.serving import dns_addresses

from .output import Failure, home_option, output_option, print_json, table

TYPES = ("A", "AAAA", "SRV", "PTR", "CNAME", "TXT")


@click.command("dns", short_help="Where cluster DNS answers; what a pod would find.")
@home_option
@output_option
@click.option("-n", "--namespace", default="default", show_default=True, help="Of the pod that would ask.")
@click.option("--type", "kind", type=click.Choice(TYPES), default="A", show_default=True, help="Of the record.")
@click.option("--hook", "wants_hook", is_flag=True, help="Print a script that makes this machine's resolver ask it.")
@click.option("--unhook", is_flag=True, help="Print the script that undoes that.")
@click.argument("name", required=False)
def command(
    home: Home, output: str, namespace: str, kind: str, wants_hook: bool, unhook: bool, name: str | None
) -> None:
    """Say where cluster DNS answers, or ask it for a NAME as a pod would.

    \b
    holdfast dns                        the address, and how to use it from here
    holdfast dns postgres-0.postgres    what a pod in namespace default finds
    holdfast dns --hook | sudo sh       names of the cluster, for every program of this machine
    """
    address = _address(home)
    is_apart = _enter(home)
    if name is not None:
        _look_up(address, name, kind, namespace, output)
        return
    found = None if is_apart else hook(address, DOMAIN)
    if wants_hook or unhook:
        _print_hook(found, unhook=unhook)
    elif output == "json":
        print_json({"address": address, "port": 53, "domain": DOMAIN, "resolver": found and found.resolver})
    else:
        _explain(address, found, is_apart=is_apart)


def _address(home: Home) -> str:
    if launch.running(home) is None:
        raise Failure(none_is_up(home))
    known = settings.load(home.settings)
    addresses = dns_addresses(known) if known is not None and "dns" not in known.without else []
    if not addresses:
        raise Failure("this cluster has no DNS: that takes containers and no `--without dns`")
    return addresses[0][0]


def _enter(home: Home) -> bool:
    """Moves this process to where the address is, if that is not this machine's own network; whether it is not."""
    known = settings.load(home.settings)
    if known is None or not known.is_rootless:
        return False
    namespaces = Namespaces(home)
    try:
        namespaces.enter()
        namespaces.enter_network()
    except OSError as error:
        raise Failure(f"the cluster's own network cannot be entered: {error}") from error
    return True


def _look_up(address: str, name: str, kind: str, namespace: str, output: str) -> None:
    from holdfast.network.dns.lookup import look_up

    try:
        found = look_up(address, name, kind, namespace, DOMAIN)
    except OSError as error:
        raise Failure(f"cluster DNS at {address} does not answer: {error}") from error
    if output == "json":
        print_json([asdict(record) for record in found])
    for line in table(("NAME", "TYPE", "DATA"), [(each.name, each.type, each.data) for each in found]):
        if output == "text" and found:
            click.echo(line)
    if not found:
        raise Failure(f"no {kind} record for {name}, as seen from a pod in namespace {namespace}")


def _print_hook(found: Hook | None, *, unhook: bool) -> None:
    if found is None:
        raise Failure(
            "this machine runs no resolver that can send some names elsewhere (systemd-resolved or dnsmasq), or none "
            "that reaches the cluster: "
            "use addresses, `holdfast dns NAME`, or `holdfast forward`"
        )
    click.echo(found.removing() if unhook else found.installing(), nl=False)


def _explain(address: str, found: Hook | None, *, is_apart: bool) -> None:
    click.echo(f"cluster DNS answers at {address} port 53, for names below {DOMAIN}")
    click.echo("  holdfast dns postgres-0.postgres         what a pod in namespace default finds")
    if is_apart:
        click.echo("  (without root, other programs of this machine reach neither it nor pods: holdfast forward)")
        return
    click.echo(f"  dig @{address} postgres-0.postgres.default.svc.{DOMAIN}")
    if found is not None:
        click.echo(f"  holdfast dns --hook | sudo sh            for every program here, by {found.resolver}")
