"""Volumes of clouds and network systems, in pods and as PersistentVolumes, in upstream's words."""

from __future__ import annotations

import json

import pytest

from holdfast.api import names
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.pod_template import POD_TEMPLATES
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest, Resource

IQN = "iqn.2001-04.com.example:storage"


def made(resource: Resource, body: Manifest) -> Manifest:
    manifest, _ = decode_body(resource, json.dumps({"metadata": {"name": "a"}, **body}).encode(), "application/json")
    resource.default(manifest)
    return manifest


def pod_with(volume: Manifest) -> Manifest:
    container = {"name": "main", "image": "registry.example/app:1"}
    template = {"spec": {"containers": [container], "volumes": [{"name": "v", **volume}]}}
    return made(POD_TEMPLATES, {"template": template})


def volume_of(source: Manifest) -> Manifest:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **source}
    return made(PERSISTENT_VOLUMES, {"spec": spec})


def in_pod(volume: Manifest) -> list[str]:
    found = [str(error) for error in POD_TEMPLATES.validate(pod_with(volume))]
    return [error.removeprefix("template.spec.volumes[0].") for error in found]


def as_volume(source: Manifest) -> list[str]:
    return [str(error).removeprefix("spec.") for error in PERSISTENT_VOLUMES.validate(volume_of(source))]


@pytest.mark.parametrize(
    ("source", "refusals"),
    [
        (
            {"nfs": {"server": "s", "path": ""}},
            ["nfs.path: Required value", 'nfs.path: Invalid value: "": must be an absolute path'],
        ),
        ({"iscsi": {"targetPortal": "1.2.3.4", "iqn": IQN, "lun": 0}}, []),
        (
            {"iscsi": {"targetPortal": "1.2.3.4", "iqn": "iqn.x", "lun": 256}},
            [
                'iscsi.iqn: Invalid value: "iqn.x": must be valid format',
                "iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            ],
        ),
        (
            {"iscsi": {"targetPortal": "", "iqn": IQN, "lun": 0, "chapAuthSession": True}},
            ["iscsi.targetPortal: Required value", "iscsi.secretRef: Required value"],
        ),
        ({"rbd": {"monitors": [], "image": ""}}, ["rbd.monitors: Required value", "rbd.image: Required value"]),
        ({"cephfs": {"monitors": []}}, ["cephfs.monitors: Required value"]),
        ({"fc": {}}, ["fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both"]),
        ({"fc": {"targetWWNs": ["a"]}}, ["fc.lun: Required value: lun is required if targetWWNs is specified"]),
        ({"flocker": {}}, ["flocker: Required value: one of datasetName and datasetUUID is required"]),
        (
            {"gcePersistentDisk": {"pdName": "", "partition": 256}},
            [
                "gcePersistentDisk.pdName: Required value",
                "gcePersistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive",
            ],
        ),
        ({"awsElasticBlockStore": {"volumeID": ""}}, ["awsElasticBlockStore.volumeID: Required value"]),
        (
            {"flexVolume": {"driver": "a/b", "options": {"k8s.io/x": "y"}}},
            [
                'flexVolume.options[k8s.io/x]: Invalid value: "k8s.io/x": '
                "kubernetes.io and k8s.io namespaces are reserved"
            ],
        ),
        ({"vsphereVolume": {"volumePath": ""}}, ["vsphereVolume.volumePath: Required value"]),
        ({"azureDisk": {"diskName": "d", "diskURI": "https://x", "kind": "Shared"}}, []),
        (
            {"azureDisk": {"diskName": "d", "diskURI": "x", "cachingMode": "All"}},
            [
                'azureDisk.cachingMode: Unsupported value: "All": supported values: "None", "ReadOnly", "ReadWrite"',
                'azureDisk.diskURI: Unsupported value: "x": supported values: '
                '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"',
            ],
        ),
        (
            {"azureFile": {"secretName": "", "shareName": ""}},
            ["azureFile.secretName: Required value", "azureFile.shareName: Required value"],
        ),
        (
            {"quobyte": {"registry": "here", "volume": "v"}},
            ['quobyte.registry: Invalid value: "here": must be a host:port pair or multiple pairs separated by commas'],
        ),
        ({"portworxVolume": {"volumeID": ""}}, ["portworxVolume.volumeID: Required value"]),
    ],
)
def test_sources_of_both(source: Manifest, refusals: list[str]) -> None:
    assert in_pod(source) == refusals
    assert as_volume(source) == refusals


def test_what_differs_between_both() -> None:
    portal = {"targetPortal": "1.2.3.4", "lun": 0, "secretRef": {}}
    unknown = {"iscsi": {**portal, "iqn": "x"}}
    assert in_pod(unknown) == ['iscsi.iqn: Invalid value: "x": must be valid format starting with iqn, eui, or naa']
    assert as_volume(unknown) == [
        'iscsi.iqn: Invalid value: "x": must be valid format',
        "iscsi.secretRef.name: Required value",
    ]
    assert in_pod({"csi": {"driver": "a", "nodePublishSecretRef": {}}}) == [
        "csi.nodePublishSecretRef.name: Required value"
    ]
    assert as_volume({"csi": {"driver": "", "volumeHandle": "", "nodeExpandSecretRef": {"name": "a"}}}) == [
        "csi.driver: Required value",
        f'csi.driver: Invalid value: "": {names.dns_subdomain("")}',
        "csi.volumeHandle: Required value",
        "csi.nodeExpandSecretRef.namespace: Required value",
    ]
    assert as_volume({"cinder": {"volumeID": "a", "secretRef": {"name": "b"}}}) == [
        "cinder.secretRef.namespace: Required value"
    ]
    assert in_pod({"gitRepo": {"repository": "", "directory": "/x"}}) == [
        "gitRepo.repository: Required value",
        'gitRepo.directory: Invalid value: "/x": must be a relative path',
    ]


def test_an_initiator_and_a_portal_fit_together() -> None:
    source = {"iscsi": {"targetPortal": "p" * 64, "iqn": IQN, "lun": 0, "initiatorName": IQN}}
    detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters"
    detail = f"{detail} if iscsi.initiatorName is specified."
    assert in_pod(source) == [f'name: Invalid value: "v": {detail}']
    assert as_volume(source) == [f'iscsi.targetportal: Invalid value: "{"p" * 64}": {detail}']


@pytest.mark.parametrize(
    ("source", "filled_in"),
    [
        ({"iscsi": {"iqn": IQN}}, {"iscsiInterface": "default"}),
        ({"rbd": {"image": "i", "user": "me"}}, {"pool": "rbd", "user": "me", "keyring": "/etc/ceph/keyring"}),
        (
            {"azureDisk": {"diskName": "d"}},
            {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
        ),
        ({"scaleIO": {"gateway": "g"}}, {"storageMode": "ThinProvisioned", "fsType": "xfs"}),
    ],
)
def test_sources_are_filled_in(source: Manifest, filled_in: Manifest) -> None:
    (kind,) = source
    for found in (pod_with(source)["template"]["spec"]["volumes"][0], volume_of(source)["spec"]):
        assert found[kind].items() >= filled_in.items()


@pytest.mark.parametrize(("reference", "policy"), [("a.example/b", "Always"), ("a.example/b:1", "IfNotPresent")])
def test_an_image_as_a_volume_is_pulled_as_containers_images_are(reference: str, policy: str) -> None:
    (volume,) = pod_with({"image": {"reference": reference}})["template"]["spec"]["volumes"]
    assert volume["image"]["pullPolicy"] == policy


def affinity(key: str, *values: str) -> Manifest:
    requirement = {"key": key, "operator": "In", "values": list(values)}
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}}


def test_where_a_volume_is_does_not_change_but_for_newer_names() -> None:
    def refusals(old: Manifest, new: Manifest) -> list[str]:
        source = {"hostPath": {"path": "/x"}}
        after, before = volume_of({**source, **new}), volume_of({**source, **old})
        return [str(error) for error in PERSISTENT_VOLUMES.validate_update(after, before)]

    zone, old_zone = "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"
    refusal = "field is immutable, except for updating from beta label to GA"
    shown = '{"Required":{"NodeSelectorTerms":[{"MatchExpressions":[%s],"MatchFields":null}]}}'
    assert refusals({}, affinity(zone, "a")) == []
    assert refusals(affinity(old_zone, "a"), affinity(zone, "a")) == []
    requirement = f'{{"Key":"{old_zone}","Operator":"In","Values":["a"]}}'
    assert refusals(affinity(zone, "a"), affinity(old_zone, "a")) == [
        f"nodeAffinity: Invalid value: {shown % requirement}: {refusal}"
    ]
    assert refusals(affinity(zone, "a"), {}) == [f"nodeAffinity: Invalid value: null: {refusal}"]
