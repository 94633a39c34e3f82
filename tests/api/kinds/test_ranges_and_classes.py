"""IPAddress, ServiceCIDR, RuntimeClass, VolumeAttributesClass, CSIStorageCapacity, ComponentStatus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.api.core.component_status import COMPONENT_STATUSES, component_status
from holdfast.api.networking.ip_address import IP_ADDRESSES
from holdfast.api.networking.service_cidr import SERVICE_CIDRS
from holdfast.api.node.runtime_class import RUNTIME_CLASSES
from holdfast.api.resource import Manifest, Resource
from holdfast.api.storage.csi_storage_capacity import CSI_STORAGE_CAPACITIES
from holdfast.api.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB: Manifest = {"parentRef": {"resource": "services", "namespace": "default", "name": "web"}}


def made(resource: Resource, **members: Any) -> Manifest:
    manifest: Manifest = {"metadata": {"name": "a"}, **members}
    resource.default(manifest)
    return manifest


def texts(errors: Any) -> list[str]:
    return [str(error) for error in errors]


@pytest.mark.parametrize(
    ("name", "is_fine"),
    [("10.0.0.1", True), ("fd00::1", True), ("10.0.0.01", False), ("fd00:0::1", False), ("a", False)],
)
def test_an_address_is_named_by_itself(name: str, is_fine: bool) -> None:
    assert IP_ADDRESSES.validate_name
    assert (IP_ADDRESSES.validate_name(name) == "") is is_fine


def test_an_address_says_whose_it_is_and_does_not_change_hands() -> None:
    assert texts(IP_ADDRESSES.validate(made(IP_ADDRESSES))) == ["spec.parentRef: Required value"]
    nameless = made(IP_ADDRESSES, spec={"parentRef": {"resource": "services"}})
    assert texts(IP_ADDRESSES.validate(nameless)) == ["spec.parentRef.name: Required value"]
    old, new = made(IP_ADDRESSES, spec=WEB), made(IP_ADDRESSES, spec={"parentRef": {**WEB["parentRef"], "name": "x"}})
    assert IP_ADDRESSES.validate_update(old, old) == []
    (error,) = IP_ADDRESSES.validate_update(new, old)
    assert (error.field, error.message.rpartition(": ")[2]) == ("spec.parentRef", "field is immutable")


def test_an_address_shows_its_parent() -> None:
    assert IP_ADDRESSES.cells(made(IP_ADDRESSES, spec=WEB), NOW) == ["a", "services/default/web"]
    gateway = {"parentRef": {"group": "gateway.io", "resource": "Gateways", "name": "g"}}
    assert IP_ADDRESSES.cells(made(IP_ADDRESSES, spec=gateway), NOW)[1] == "gateways.gateway.io/g"


@pytest.mark.parametrize(
    ("cidrs", "refusals"),
    [
        (["10.96.0.0/16"], []),
        (["10.96.0.0/16", "fd00::/112"], []),
        ([], ["spec.cidrs: Required value: at least one CIDR required"]),
        (
            ["10.0.0.0/16", "10.1.0.0/16"],
            [
                'spec.cidrs: Invalid value: {"CIDRs":["10.0.0.0/16","10.1.0.0/16"]}: may specify no more than one IP '
                "for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            ],
        ),
        (
            ["10.96.0.1/16"],
            ['spec.cidrs[0]: Invalid value: "10.96.0.1/16": must not have bits set beyond the prefix length'],
        ),
        (
            ["here"],
            ['spec.cidrs[0]: Invalid value: "here": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'],
        ),
    ],
)
def test_a_range_is_one_of_each_family(cidrs: list[str], refusals: list[str]) -> None:
    assert texts(SERVICE_CIDRS.validate(made(SERVICE_CIDRS, spec={"cidrs": cidrs}))) == refusals


def test_a_range_stays_and_may_get_one_of_the_other_family() -> None:
    def ranges(*cidrs: str) -> Manifest:
        return made(SERVICE_CIDRS, spec={"cidrs": [*cidrs]})

    old = ranges("10.96.0.0/16")
    assert SERVICE_CIDRS.validate_update(ranges("10.96.0.0/16", "fd00::/112"), old) == []
    assert texts(SERVICE_CIDRS.validate_update(ranges("10.97.0.0/16"), old)) == [
        'spec.cidrs[0]: Invalid value: "10.97.0.0/16": field is immutable'
    ]


def test_a80_a_runtime_class_keeps_its_handler() -> None:
    old, new = made(RUNTIME_CLASSES, handler="runsc"), made(RUNTIME_CLASSES, handler="kata")
    assert texts(RUNTIME_CLASSES.validate(old)) == []
    assert texts(RUNTIME_CLASSES.validate_update(new, old)) == ['handler: Invalid value: "kata": field is immutable']
    assert texts(RUNTIME_CLASSES.validate(made(RUNTIME_CLASSES))) == ["handler: Required value"]
    overhead = made(RUNTIME_CLASSES, handler="a", overhead={"podFixed": {"cpu": "-1"}})
    assert texts(RUNTIME_CLASSES.validate(overhead)) == [
        'overhead.podFixed.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0'
    ]


def test_a_class_of_attributes_has_some_and_keeps_them() -> None:
    resource = VOLUME_ATTRIBUTES_CLASSES
    old = made(resource, driverName="x.example.com", parameters={"iops": "5"})
    assert texts(resource.validate(old)) == []
    assert texts(resource.validate(made(resource))) == [
        "driverName: Required value",
        "parameters: Required value: must contain at least one key/value pair",
    ]
    assert texts(resource.validate_update(made(resource, driverName="y.example.com"), old)) == [
        "driverName: Forbidden: updates to driverName are forbidden.",
        "parameters: Forbidden: updates to parameters are forbidden.",
    ]


def test_of_a_capacity_only_the_numbers_change() -> None:
    resource = CSI_STORAGE_CAPACITIES
    old = made(resource, storageClassName="fast", capacity="1Gi")
    assert resource.validate_update({**old, "capacity": "2Gi"}, old) == []
    assert texts(resource.validate_update({**old, "storageClassName": "slow"}, old)) == [
        'storageClassName: Invalid value: "slow": field is immutable'
    ]
    assert texts(resource.validate({**old, "capacity": "-1"})) == [
        'capacity: Invalid value: "-1": must be greater than or equal to 0'
    ]


def test_a_component_is_healthy_or_says_why_not() -> None:
    assert COMPONENT_STATUSES.cells(component_status("scheduler"), NOW) == ["scheduler", "Healthy", "ok", ""]
    ill = component_status("scheduler", "it does not run")
    assert COMPONENT_STATUSES.cells(ill, NOW) == ["scheduler", "Unhealthy", "it does not run", ""]
