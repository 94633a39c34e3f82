"""Hostname, /etc/hosts and /etc/resolv.conf of a pod (N163-N168). Pure.

Source: Kubernetes, pkg/kubelet/kubelet_pods.go and network/dns/dns.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.api.resource import Manifest

from .pod import Pod

MOST_NAMESERVERS = 3
MOST_SEARCHES = 32
LONGEST_SEARCH = 2048

_MANAGED = "# Kubernetes-managed hosts file.\n"
_MANAGED_HOST_NETWORK = "# Kubernetes-managed hosts file (host network).\n"
_LOCAL = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "fe00::\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n"
)
_ALIASES = "\n# Entries added by HostAliases.\n"


def hostname(pod: Pod, node_hostname: str, cluster_domain: str) -> str:
    """What `hostname` prints inside (N163, N165)."""
    if pod.is_host_network:
        return node_hostname
    if override := pod.spec.get("hostnameOverride"):
        return str(override)
    name = str(pod.spec.get("hostname") or pod.name)[:63].rstrip("-.")
    if pod.spec.get("setHostnameAsFQDN") and (domain := subdomain(pod, cluster_domain)):
        return f"{name}.{domain}"
    return name


def subdomain(pod: Pod, cluster_domain: str) -> str:
    """What follows the hostname in the full name; empty without spec.subdomain."""
    name = pod.spec.get("subdomain")
    if not name or pod.spec.get("hostnameOverride"):
        return ""
    return f"{name}.{pod.namespace}.svc.{cluster_domain}"


def hosts_file(pod: Pod, ips: Sequence[str], name: str, cluster_domain: str, node_hosts: str = "") -> str:
    """The text of /etc/hosts (N164); `name` is the pod's hostname, `node_hosts` the machine's own file."""
    aliases = _alias_lines(pod.spec.get("hostAliases") or ())
    if pod.is_host_network:
        return _MANAGED_HOST_NETWORK + node_hosts + aliases
    domain = subdomain(pod, cluster_domain)
    short = name.removesuffix("." + domain) if domain else name
    names = f"{short}.{domain}\t{short}" if domain else name
    return _MANAGED + _LOCAL + "".join(f"{ip}\t{names}\n" for ip in ips) + aliases


def _alias_lines(aliases: Iterable[Manifest]) -> str:
    lines = "".join(f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or ()) + "\n" for alias in aliases)
    return _ALIASES + lines if lines else ""


@dataclass(frozen=True, slots=True)
class Resolver:
    """The contents of a resolv.conf."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"search {' '.join(self.searches)}\n" if self.searches else ""
        text += "".join(f"nameserver {address}\n" for address in self.nameservers)
        return text + (f"options {' '.join(self.options)}\n" if self.options else "")


def parse_resolver(text: str) -> Resolver:
    """A resolver file as the node has it; what it does not understand is left out."""
    nameservers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words:
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search", *domains]:
                searches = tuple(domain.removesuffix(".") or "." for domain in domains)
            case ["domain", domain, *_] if not searches:
                searches = (domain,)
            case ["options", *words]:
                options = tuple(words)
    return Resolver(tuple(nameservers), searches, options)


def resolver(pod: Pod, node: Resolver, cluster_dns: Sequence[str], cluster_domain: str) -> tuple[Resolver, list[str]]:
    """The pod's resolver by dnsPolicy and dnsConfig (N166), and what had to be cut (N167), for events.

    A node without cluster DNS gives its own.
    """
    policy = pod.spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and pod.is_host_network:
        policy = "Default"
    problems: list[str] = []
    match policy:
        case "None":
            base = Resolver()
        case "Default":
            base = node
        case _ if not cluster_dns:
            base = node
        case _:
            domains = (f"{pod.namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain)
            base = Resolver(tuple(cluster_dns), (*domains, *node.searches), ("ndots:5",))
    merged = _with_config(base, pod.spec.get("dnsConfig") or {})
    return _within_limits(merged, problems), problems


def _with_config(base: Resolver, config: Manifest) -> Resolver:
    options = {option.partition(":")[0]: option for option in base.options}
    for option in config.get("options") or ():
        name, value = option.get("name", ""), option.get("value")
        options[name] = f"{name}:{value}" if value is not None else name
    return Resolver(
        tuple(dict.fromkeys([*base.nameservers, *(config.get("nameservers") or ())])),
        tuple(dict.fromkeys([*base.searches, *(config.get("searches") or ())])),
        tuple(options.values()),
    )


def _within_limits(wanted: Resolver, problems: list[str]) -> Resolver:
    nameservers, searches = wanted.nameservers, wanted.searches
    if len(nameservers) > MOST_NAMESERVERS:
        nameservers = nameservers[:MOST_NAMESERVERS]
        problems.append(
            "Nameserver limits were exceeded, some nameservers have been omitted, "
            f"the applied nameserver line is: {' '.join(nameservers)}"
        )
    if len(searches) > MOST_SEARCHES or len(" ".join(searches)) > LONGEST_SEARCH:
        searches = searches[:MOST_SEARCHES]
        while len(" ".join(searches)) > LONGEST_SEARCH:
            searches = searches[:-1]
        problems.append(
            "Search Line limits were exceeded, some search paths have been omitted, "
            f"the applied search line is: {' '.join(searches)}"
        )
    return Resolver(nameservers, searches, wanted.options)
