"""What the server warns of in services, volumes and classes, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.service import SERVICES
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.networking.ingress import INGRESSES
from holdfast.api.resource import Resource
from holdfast.api.storage.storage_class import STORAGE_CLASSES

OLD_OS = 'deprecated since v1.14; use "kubernetes.io/os" instead'


def warnings(resource: Resource, annotations: dict[str, str] | None = None, **members: Any) -> list[str]:
    manifest = {"metadata": {"name": "a", "annotations": annotations or {}}, **members}
    return [*resource.create_warnings(manifest), *resource.warnings(manifest)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "ClusterIP", "clusterIPs": ["10.0.0.1"], "sessionAffinity": "None"}, []),
        (
            {"type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "ClientIP", "externalIPs": ["10.0.0.1"]},
            [
                "spec.externalIPs is ignored for headless services",
                "spec.SessionAffinity is ignored for headless services",
            ],
        ),
        (
            {"type": "ClusterIP", "externalIPs": ["2001:DB8::1"]},
            [
                'spec.externalIPs[0]: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format '
                '("2001:db8::1")',
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
            ],
        ),
        (
            {"type": "ExternalName", "externalName": "a.b", "externalIPs": ["10.0.0.1"]},
            ['spec.externalIPs is ignored when spec.type is "ExternalName"'],
        ),
        (
            {"type": "NodePort", "externalName": "a.b", "trafficDistribution": "PreferClose"},
            [
                'spec.externalName is ignored when spec.type is not "ExternalName"',
                'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"',
            ],
        ),
    ],
)
def test_services(spec: dict[str, Any], expected: list[str]) -> None:
    assert warnings(SERVICES, spec=spec) == expected


def test_volumes() -> None:
    term = {"matchExpressions": [{"key": "beta.kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
    spec = {
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        "persistentVolumeReclaimPolicy": "Recycle",
        "cephfs": {},
    }
    annotations = {"volume.beta.kubernetes.io/mount-options": "ro", "volume.beta.kubernetes.io/storage-class": "slow"}
    assert warnings(PERSISTENT_VOLUMES, annotations, spec=spec) == [
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: "
        'deprecated since v1.8; use "storageClassName" attribute instead',
        "metadata.annotations[volume.beta.kubernetes.io/mount-options]: "
        'deprecated since v1.31; use "mountOptions" attribute instead',
        f"spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is {OLD_OS}",
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
        "Instead, the recommended approach is to use dynamic provisioning.",
        "spec.cephfs: deprecated in v1.28, non-functional in v1.31+",
    ]


def test_a_claim_asks_for_whole_bytes() -> None:
    assert warnings(PERSISTENT_VOLUME_CLAIMS, spec={"resources": {"requests": {"storage": "100m"}}}) == [
        'spec.resources.requests[storage]: fractional byte value "100m" is invalid, must be an integer'
    ]


def test_classes_accounts_and_ingresses() -> None:
    topologies = [{"matchLabelExpressions": [{"key": "beta.kubernetes.io/os", "values": ["linux"]}]}]
    assert warnings(STORAGE_CLASSES, allowedTopologies=topologies) == [
        f"allowedTopologies[0].matchLabelExpressions[0].key: {OLD_OS}"
    ]
    assert warnings(SERVICE_ACCOUNTS, {"kubernetes.io/enforce-mountable-secrets": "true"}) == [
        "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: "
        "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    ]
    old = {"kubernetes.io/ingress.class": "nginx"}
    assert warnings(INGRESSES, old, spec={}) == [
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
    ]
    assert warnings(INGRESSES, old, spec={"ingressClassName": "nginx"}) == []
