"""What ingresses, network policies, endpoints and their slices may say, in upstream's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api import names
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.secret import SECRETS
from holdfast.api.core.service import SERVICES
from holdfast.api.decode import decode_body
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.networking.ingress import INGRESSES
from holdfast.api.networking.ingress_class import INGRESS_CLASSES
from holdfast.api.networking.network_policy import NETWORK_POLICIES
from holdfast.api.resource import Manifest, Resource

NO_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NO_BLOCK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
NO_WILDCARD = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', "
    r"regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def made(resource: Resource, **body: Any) -> Manifest:
    manifest, _ = decode_body(resource, json.dumps({"metadata": {"name": "a"}, **body}).encode(), "application/json")
    resource.default(manifest)
    return manifest


def errors(resource: Resource, **body: Any) -> list[str]:
    return [str(error) for error in resource.validate(made(resource, **body))]


def path(**members: Any) -> Manifest:
    return {"path": "/", "pathType": "Prefix", "backend": BACKEND, **members}


@pytest.mark.parametrize(
    ("spec", "refusals"),
    [
        (
            {"tls": [{"secretName": "A_"}]},
            [
                "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
                f'spec.tls[0].secretName: Invalid value: "A_": {names.dns_subdomain("A_")}',
            ],
        ),
        ({"defaultBackend": {}}, ['spec.defaultBackend: Invalid value: "": resource or service backend is required']),
        (
            {"defaultBackend": {"resource": {"kind": "Bucket", "name": ""}}},
            ["spec.defaultBackend.resource.name: Required value: name is required"],
        ),
        (
            {"defaultBackend": {"service": {"name": "web", "port": {"name": "http", "number": 80}}}},
            ['spec.defaultBackend: Invalid value: "": cannot set both port name & port number'],
        ),
        (
            {"rules": [{"host": "a.*.b", "http": {"paths": [path()]}}]},
            [f'spec.rules[0].host: Invalid value: "a.*.b": {NO_WILDCARD}'],
        ),
        (
            {"rules": [{"http": {"paths": [{"backend": {}}]}}]},
            ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
        ),
        (
            {"rules": [{"http": {"paths": [path(pathType="Regex", path="x")]}}]},
            [
                'spec.rules[0].http.paths[0].pathType: Unsupported value: "Regex": '
                'supported values: "Exact", "ImplementationSpecific", "Prefix"'
            ],
        ),
    ],
)
def test_an_ingress_is_refused(spec: Manifest, refusals: list[str]) -> None:
    assert errors(INGRESSES, spec=spec) == refusals


def test_an_ingress_names_its_class_once() -> None:
    annotation = "kubernetes.io/ingress.class"
    metadata = {"name": "a", "annotations": {annotation: "x"}}
    both = made(INGRESSES, metadata=metadata, spec={"ingressClassName": "y", "defaultBackend": BACKEND})
    refusal = "can not be set when the class field is also set"
    assert [str(error) for error in INGRESSES.validate_create(both)] == [
        f'annotations.{annotation}: Invalid value: "x": {refusal}'
    ]
    assert INGRESSES.validate_update(both, both) == []


def test_an_ingress_stored_under_older_rules_can_be_changed() -> None:
    old = made(INGRESSES, spec={"defaultBackend": BACKEND, "tls": [{"secretName": "A_"}]})
    assert INGRESSES.validate_update(old, old) == []
    assert len(INGRESSES.validate_update(old, made(INGRESSES, spec={"defaultBackend": BACKEND}))) == 1


def test_the_controller_of_an_ingress_class_is_given_and_kept() -> None:
    assert errors(INGRESS_CLASSES, spec={}) == ["spec.controller: Required value"]
    old, new = (made(INGRESS_CLASSES, spec={"controller": name}) for name in ("a.b/c", "d"))
    assert [str(error) for error in INGRESS_CLASSES.validate_update(new, old)] == [
        'spec.controller: Invalid value: "d": field is immutable'
    ]
    assert [str(error) for error in INGRESS_CLASSES.validate(new)] == [
        'spec.controller: Invalid value: "d": must be a domain-prefixed path (such as "acme.io/foo")'
    ]


@pytest.mark.parametrize(
    ("rule", "refusals"),
    [
        ({"ports": [{"port": 80, "endPort": 90}]}, []),
        (
            {"ports": [{"port": 80, "endPort": 70}]},
            ["ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`"],
        ),
        (
            {"ports": [{"port": "http", "endPort": 70}, {"endPort": 1}]},
            [
                "ports[0].endPort: Invalid value: 70: may not be specified when `port` is non-numeric",
                "ports[1].endPort: Invalid value: 1: may not be specified when `port` is not specified",
            ],
        ),
        (
            {"ports": [{"protocol": "ICMP"}]},
            ['ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"'],
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16", "10.0.0.0/8", "x", "y"]}}]},
            [
                'from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
                'from[0].ipBlock.except[1]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
                f'from[0].ipBlock.except[2]: Invalid value: "x": {NO_BLOCK}',
            ],
        ),
        (
            {"from": [{"podSelector": {}, "ipBlock": {}}]},
            [
                "from[0].ipBlock.cidr: Required value",
                "from[0]: Forbidden: may not specify both ipBlock and another peer",
            ],
        ),
    ],
)
def test_a_network_policy_is_refused(rule: Manifest, refusals: list[str]) -> None:
    found = errors(NETWORK_POLICIES, spec={"ingress": [rule]})
    assert [error.removeprefix("spec.ingress[0].") for error in found] == refusals


def test_a_slice_is_refused() -> None:
    zones = [{"name": "a"}, {"name": "a"}]
    endpoint = {"addresses": ["10.0.0.1"], "hostname": "", "hints": {"forZones": zones, "forNodes": zones * 5}}
    port = {"port": 80, "appProtocol": "a/b/c"}
    first, second, third, fourth = errors(ENDPOINT_SLICES, addressType="IPv4", endpoints=[endpoint], ports=[port])
    assert first.startswith('endpoints[0].hostname: Invalid value: "": a lowercase RFC 1123 label')
    assert second == 'endpoints[0].hints.forZones[1].name: Duplicate value: "a"'
    assert third == "endpoints[0].hints.forNodes: Too many: 10: must have at most 8 items"
    assert fourth.startswith('ports[0].appProtocol: Invalid value: "a/b/c": a valid label key must consist of')


def test_endpoints_are_refused() -> None:
    subset = {"addresses": [{"ip": "here", "nodeName": "n"}, {"ip": "127.0.0.1"}], "ports": [{"port": 80}]}
    loopback = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    refusals = [
        f'subsets[0].addresses[0].ip: Invalid value: "here": {NO_ADDRESS}',
        'subsets[0].addresses[0].ip: Invalid value: "here": must be a valid IP address',
        f'subsets[0].addresses[1].ip: Invalid value: "127.0.0.1": {loopback}',
    ]
    assert errors(ENDPOINTS, subsets=[subset]) == refusals
    old = made(ENDPOINTS, subsets=[subset])
    assert ENDPOINTS.validate_update(old, old) == []
    assert [str(error) for error in ENDPOINTS.validate_update(old, made(ENDPOINTS))] == refusals


@pytest.mark.parametrize("resource", [CONFIG_MAPS, SECRETS, SERVICES, INGRESS_CLASSES])
def test_what_may_not_change_is_said_before_what_is_wrong_anyway(resource: Resource) -> None:
    assert resource.tells_changes_first
