"""What Services may say, what may change in them, and what a change of type drops, in upstream's words and order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.core.service import SERVICES
from holdfast.api.core.service_addresses import settle_families
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest

ADDRESS = {"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"]}
SINGLE = {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
NOT_OF_FAMILY = 'spec.clusterIPs[0]: Invalid value: "10.96.1.1": expected an IPv6 value as indicated by'
ONLY_BALANCED = "Forbidden: may only be used when `type` is 'LoadBalancer'"


def service(annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    metadata = {"name": "a", "annotations": annotations or {}}
    body = {"metadata": metadata, "spec": {"ports": [{"port": 80}], **spec}}
    manifest, _ = decode_body(SERVICES, json.dumps(body).encode(), "application/json")
    SERVICES.default(manifest)
    return manifest


def errors(annotations: dict[str, str] | None = None, **spec: Any) -> list[str]:
    made = service(annotations, **spec)
    SERVICES.prepare_create(made)
    return [str(error) for error in SERVICES.validate(made)]


def changed(old: Manifest, **spec: Any) -> tuple[Manifest, list[str]]:
    """The spec after an update, and what is wrong with it."""
    new = service(**spec)
    SERVICES.prepare_update(new, old)
    return new["spec"], [str(error) for error in (*SERVICES.validate_update(new, old), *SERVICES.validate(new))]


@pytest.mark.parametrize(
    ("spec", "refusals"),
    [
        (
            {"type": "ExternalName", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"},
            [
                "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
                "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
                "spec.externalName: Required value",
            ],
        ),
        (
            {"type": "NodePort", "clusterIP": "None"},
            ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        ),
        (
            {"clusterIP": "None", "clusterIPs": ["None", "10.96.1.1"]},
            ['spec.clusterIPs: Invalid value: ["None","10.96.1.1"]: \'None\' must be the first and only value'],
        ),
        (
            {"clusterIPs": ["10.96.1.1"]},
            ['spec.clusterIPs: Invalid value: ["10.96.1.1"]: must be empty when `clusterIP` is not specified'],
        ),
        (
            {"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1", "10.96.1.2"], "ipFamilies": ["IPv4", "IPv4"]},
            [
                'spec.ipFamilies[1]: Duplicate value: "IPv4"',
                'spec.clusterIPs: Invalid value: ["10.96.1.1","10.96.1.2"]: '
                "may specify no more than one IP for each IP family",
            ],
        ),
        (
            {**ADDRESS, "ipFamilies": ["IPv6"], "ipFamilyPolicy": "Both"},
            [
                'spec.ipFamilyPolicy: Unsupported value: "Both": '
                'supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
                f"{NOT_OF_FAMILY} `ipFamilies[0]`",
            ],
        ),
        ({"allocateLoadBalancerNodePorts": False}, [f"spec.allocateLoadBalancerNodePorts: {ONLY_BALANCED}"]),
        ({"loadBalancerClass": "a.b/c"}, [f"spec.loadBalancerClass: {ONLY_BALANCED}"]),
        ({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, [f"spec.LoadBalancerSourceRanges: {ONLY_BALANCED}"]),
        ({"type": "LoadBalancer", "loadBalancerSourceRanges": [" 10.0.0.0/8 "]}, []),
        (
            {"trafficDistribution": "Near"},
            [
                'spec.trafficDistribution: Unsupported value: "Near": '
                'supported values: "PreferClose", "PreferSameNode", "PreferSameZone"'
            ],
        ),
        (
            {"type": "Public", "ports": [{"port": 80, "nodePort": 30000}]},
            [
                'spec.type: Unsupported value: "Public": supported values: '
                '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'
            ],
        ),
        (
            {"healthCheckNodePort": 30000, "type": "NodePort", "externalTrafficPolicy": "Local"},
            [
                "spec.healthCheckNodePort: Invalid value: 30000: "
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            ],
        ),
        (
            {
                "type": "NodePort",
                "ports": [{"port": 80, "name": "a", "nodePort": 30000}, {"port": 80, "name": "b", "nodePort": 30000}],
            },
            [
                "spec.ports[1].nodePort: Duplicate value: 30000",
                'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,'
                '"TargetPort":0,"NodePort":0}',
            ],
        ),
    ],
)
def test_a_service_is_refused(spec: Manifest, refusals: list[str]) -> None:
    assert errors(**spec) == refusals


def test_annotations_of_a_service() -> None:
    old, new = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
    assert errors({old: "auto", new: "Auto"}) == [
        f'metadata.annotations[{new}]: Invalid value: "Auto": must match annotations[{old}] when both are specified'
    ]
    ranges = "service.beta.kubernetes.io/load-balancer-source-ranges"
    assert errors({ranges: "10.0.0.0/8, here"}, type="LoadBalancer") == [
        f'metadata.annotations[{ranges}]: Invalid value: "here": '
        "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
    ]
    assert errors({ranges: ""}) == [f"metadata.annotations[{ranges}]: {ONLY_BALANCED}"]


def test_a_service_with_external_addresses_has_a_traffic_policy() -> None:
    assert service(externalIPs=["1.2.3.4"])["spec"]["externalTrafficPolicy"] == "Cluster"
    _, refusals = changed(service(**ADDRESS, **SINGLE, externalIPs=["1.2.3.4"]), externalTrafficPolicy="Cluster")
    assert refusals == []


@pytest.mark.parametrize(
    ("old", "new", "refusals"),
    [
        (
            {},
            {"ipFamilies": ["IPv6"]},
            [
                'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set',
                f"{NOT_OF_FAMILY} `ipFamilies[0]`",
            ],
        ),
        (
            {"type": "LoadBalancer", "loadBalancerClass": "a.b/c"},
            {"type": "LoadBalancer"},
            ["spec.loadBalancerClass: Invalid value: null: may not change once set"],
        ),
        (
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30000},
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001},
            ["spec.healthCheckNodePort: Forbidden: field is immutable"],
        ),
        (
            {},
            {"clusterIP": "10.96.9.9", "sessionAffinity": "Sticky"},
            [
                'spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set',
                'spec.sessionAffinity: Unsupported value: "Sticky": supported values: "ClientIP", "None"',
            ],
        ),
        ({"type": "LoadBalancer", "loadBalancerClass": "a.b/c"}, {"loadBalancerClass": "a.b/c"}, []),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}]},
            {"ports": [{"port": 80, "name": "a", "nodePort": 30000}, {"port": 81, "name": "b", "nodePort": 30001}]},
            [f"spec.ports[{i}].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'" for i in range(2)],
        ),
    ],
)
def test_a_change_of_a_service(old: Manifest, new: Manifest, refusals: list[str]) -> None:
    assert changed(service(**{**ADDRESS, **SINGLE, **old}), **new)[1] == refusals


def test_a_load_balancers_status_goes_with_its_type() -> None:
    old = service(**ADDRESS, **SINGLE, type="LoadBalancer")
    new = service(type="NodePort")
    new["status"] = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    SERVICES.prepare_update(new, old)
    assert new["status"] == {"loadBalancer": {}}


def test_the_status_of_a_service() -> None:
    def refusals(kind: str, *ingress: Manifest) -> list[str]:
        made = service(type=kind)
        made["status"] = {"loadBalancer": {"ingress": list(ingress)}}
        SERVICES.default(made)
        return [str(error) for error in SERVICES.validate_status_update(made, made)]

    field = "status.loadBalancer.ingress"
    assert refusals("NodePort", {"ip": "1.2.3.4"}) == [
        f"{field}: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    ]
    assert refusals("LoadBalancer", {"ip": "1.2.3.4"}, {"hostname": "a.example"}) == []
    assert refusals("LoadBalancer", {"hostname": "1.2.3.4", "ipMode": "VIP"}) == [
        f"{field}[0].ipMode: Forbidden: may not be specified when `ip` is not set",
        f'{field}[0].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]


@pytest.mark.parametrize(
    ("spec", "refusals"),
    [
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            [
                'spec.ipFamilyPolicy: Invalid value: "SingleStack": '
                "must be RequireDualStack or PreferDualStack when multiple IP families are specified"
            ],
        ),
        (
            {"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]},
            ['spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster'],
        ),
        (
            {"clusterIPs": ["10.96.1.1"]},
            ['spec.clusterIPs: Invalid value: ["10.96.1.1"]: must be empty when `clusterIP` is not specified'],
        ),
    ],
)
def test_families_are_settled_before_anything_else_is_looked_at(spec: Manifest, refusals: list[str]) -> None:
    assert [str(error) for error in settle_families({"selector": {"a": "b"}, **spec}, None)] == refusals


@pytest.mark.parametrize(
    ("spec", "settled"),
    [
        ({"selector": {"a": "b"}}, SINGLE),
        (
            {"selector": {"a": "b"}, "ipFamilyPolicy": "PreferDualStack"},
            {**SINGLE, "ipFamilyPolicy": "PreferDualStack"},
        ),
        (
            {"clusterIP": "None", "clusterIPs": ["None"]},
            {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"},
        ),
        (
            {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"},
            {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"},
        ),
    ],
)
def test_families_of_a_service_on_a_cluster_with_ipv4(spec: Manifest, settled: Manifest) -> None:
    spec = dict(spec)
    assert settle_families(spec, None) == []
    assert {member: spec[member] for member in SINGLE} == settled
