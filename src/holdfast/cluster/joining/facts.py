"""What a machine has to know of the cluster that it joins: published by the daemon, for nodes to read. No secrets.

As kubeadm keeps its `kubeadm-config` and `kubelet-config`.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast import __version__
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.cluster.settings import Settings

NAMESPACE, NAME = "kube-system", "holdfast-config"
RUNTIME, ROOTLESS = "oci", "oci, without root"
"""How nodes run containers: machines join clusters of the first kind only."""


def can_be_joined(settings: Settings) -> bool:
    """Whether pods of this machine could be reached from others."""
    return settings.driver == RUNTIME and not settings.is_rootless


def facts_of(settings: Settings) -> dict[str, str]:
    """As the ConfigMap holds them."""
    return {
        "version": __version__,
        "runtime": ROOTLESS if settings.driver == RUNTIME and settings.is_rootless else settings.driver,
        "podCIDR": settings.pod_cidr,
        "serviceCIDR": ",".join(map(str, settings.service_networks())),
        "ipFamilies": ",".join(settings.ip_families),
        "dnsDomain": "cluster.local",
        "without": ",".join(settings.without),
        "featureGates": ",".join(settings.feature_gates),
    }


def joined_settings(facts: Mapping[str, str], url: str, name: str, first_slice: int) -> Settings:
    """Of a machine that joins as the node `name`."""
    return Settings(
        nodes=1,
        runtime=RUNTIME,
        chosen=RUNTIME,
        without=_several(facts, "without"),
        ip_families=_several(facts, "ipFamilies"),
        feature_gates=_several(facts, "featureGates"),
        pod_cidr=facts["podCIDR"],
        service_cidr=facts["serviceCIDR"],
        server=url,
        name=name,
        first_slice=first_slice,
    )


def _several(facts: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(each for each in facts.get(key, "").split(",") if each)


async def publish(client: Client, settings: Settings) -> None:
    """Makes the ConfigMap, or brings it up to date."""
    wanted: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "data": facts_of(settings),
    }
    try:
        present = await client.get(CONFIG_MAPS, NAME, NAMESPACE)
    except NotFound:
        await client.create(CONFIG_MAPS, wanted)
        return
    if present.get("data") != wanted["data"]:
        await client.update(CONFIG_MAPS, wanted)


async def read(client: Client) -> dict[str, str]:
    """Raises ApiError; NotFound if the cluster is older than what may be joined."""
    found = await client.get(CONFIG_MAPS, NAME, NAMESPACE)
    return {**found.get("data", {})}
