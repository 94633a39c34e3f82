"""The objects that a set's snapshots, its restored claims and its forks are made of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api import quantity
from holdfast.api.apps.stateful_set_marks import FORKED_FROM, RESTORING
from holdfast.api.conditions import phase
from holdfast.api.resource import Manifest
from holdfast.api.snapshots import GROUP, VERSION
from holdfast.controllers.snapshots.names import TAKEN_WITH, TAKEN_WITH_COUNT
from holdfast.controllers.volumes.places import is_sized

SNAPSHOT, OF_SET, OF_CLAIM = "holdfast.dev/snapshot", "holdfast.dev/statefulset", "holdfast.dev/claim"
RESTORED_BY = "holdfast.dev/restored-by"
LONGEST_NAME = 63
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Refused(Exception):
    """It cannot be done; the text says why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One claim of a set."""

    template: Manifest
    ordinal: int

    def claim_name(self, set_name: str) -> str:
        return f"{self.template['metadata']['name']}-{set_name}-{self.ordinal}"


def members(statefulset: Manifest, claim_names: Iterable[str]) -> list[Member]:
    """The set's claims among these, also those that a scale-in has left."""
    set_name = statefulset["metadata"]["name"]
    found = []
    for template in statefulset["spec"].get("volumeClaimTemplates") or ():
        pattern = re.compile(re.escape(f"{template['metadata']['name']}-{set_name}-") + r"(0|[1-9]\d*)")
        ordinals = sorted(int(match[1]) for name in claim_names if (match := pattern.fullmatch(name)))
        found += [Member(template, ordinal) for ordinal in ordinals]
    return found


def has_pod(statefulset: Manifest, ordinal: int) -> bool:
    """Whether the set wants a pod of that ordinal."""
    spec = statefulset["spec"]
    first = int((spec.get("ordinals") or {}).get("start", 0))
    return first <= ordinal < first + int(spec.get("replicas", 1))


def default_name(set_name: str, now: datetime) -> str:
    return f"{set_name}-{now:%Y%m%d-%H%M%S}"


def snapshots_of(
    statefulset: Manifest, name: str, claims: Sequence[Manifest], volumes: Mapping[str, Manifest]
) -> list[Manifest]:
    """One VolumeSnapshot for each claim, to be taken at one moment. Raises Refused."""
    set_name = statefulset["metadata"]["name"]
    if not claims:
        raise Refused(f"sts/{set_name} has no claims: there is nothing to take a snapshot of")
    if len(name) > LONGEST_NAME:
        raise Refused(f"the name {name!r} is longer than {LONGEST_NAME} characters: give a shorter one with --name")
    for claim in claims:
        if phase(claim) != "Bound":
            raise Refused(f"claim {claim['metadata']['name']} is {phase(claim) or 'Pending'}: wait until it is bound")
    plain = [claim["metadata"]["name"] for claim in claims if not is_sized(volumes[claim["spec"]["volumeName"]])]
    if plain and len(claims) > 1:
        raise Refused(
            f"claim {plain[0]} is a plain directory, and only volumes with a size are taken at one moment: see"
            " `holdfast doctor`, or take a VolumeSnapshot of each claim with the set scaled to 0"
        )
    return [_snapshot(set_name, name, claim, len(claims)) for claim in claims]


def _snapshot(set_name: str, name: str, claim: Manifest, count: int) -> Manifest:
    metadata = claim["metadata"]
    labels = {SNAPSHOT: name, OF_SET: set_name}
    annotations = {OF_CLAIM: metadata["name"]}
    if count > 1:
        labels[TAKEN_WITH] = name
        annotations[TAKEN_WITH_COUNT] = str(count)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "VolumeSnapshot",
        "metadata": {
            "name": f"{name}-{metadata['name']}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {"source": {"persistentVolumeClaimName": metadata["name"]}},
    }


def is_whole(snapshots: Sequence[Manifest]) -> bool:
    """All that were taken together are there, and ready."""
    if not snapshots:
        return False
    annotations = snapshots[0]["metadata"].get("annotations") or {}
    count = int(annotations.get(TAKEN_WITH_COUNT, "1"))
    return len(snapshots) == count and all((each.get("status") or {}).get("readyToUse") for each in snapshots)


def obstacle(snapshots: Iterable[Manifest]) -> str:
    """Why one of them is not ready; empty if nobody says."""
    errors = (((each.get("status") or {}).get("error") or {}).get("message") for each in snapshots)
    return next(filter(None, errors), "")


def filled_claim(
    statefulset: Manifest, member: Member, name: str, snapshot: Manifest, marks: Mapping[str, str]
) -> Manifest:
    """The claim as the set would make it, filled from the snapshot, and no smaller than that."""
    given = member.template["spec"]
    resources = given.get("resources") or {}
    requests = dict(resources.get("requests") or {})
    least = (snapshot.get("status") or {}).get("restoreSize") or "0"
    if quantity.compare(requests.get("storage", "0"), least) < 0:
        requests["storage"] = least
    source = {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": snapshot["metadata"]["name"]}
    spec = {key: value for key, value in given.items() if key not in ("dataSourceRef", "volumeName")}
    spec |= {"resources": {**resources, "requests": requests}, "dataSource": source}
    labels = {**(member.template["metadata"].get("labels") or {}), **_match_labels(statefulset)}
    annotations = {**(member.template["metadata"].get("annotations") or {}), **marks}
    metadata = {"name": name, "namespace": statefulset["metadata"]["namespace"], "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**metadata, "annotations": annotations},
        "spec": spec,
    }


def forked_set(statefulset: Manifest, name: str, services: Iterable[Manifest]) -> tuple[Manifest, Manifest | None]:
    """A set of another name with pods of its own labels, and a copy of its governing service, if it has one.

    Raises Refused if a service would send it what is meant for the original.
    """
    metadata, spec = statefulset["metadata"], dict(statefulset["spec"])
    if (spec["selector"] or {}).get("matchExpressions"):
        raise Refused(f"sts/{metadata['name']} selects its pods by expressions: fork by hand, with labels of its own")
    renamed = {key: _renamed(value, metadata["name"], name) for key, value in _match_labels(statefulset).items()}
    spec["selector"] = {"matchLabels": renamed}
    template = spec["template"]
    labels = {**(template["metadata"].get("labels") or {}), **renamed}
    spec["template"] = {**template, "metadata": {**template["metadata"], "labels": labels}}
    service = None
    for one in services:
        if one["metadata"]["name"] == spec.get("serviceName"):
            service = _forked_service(one, metadata["name"], name, labels, renamed)
        elif _selects(one, labels):
            raise Refused(
                f"service {one['metadata']['name']} selects pods by {one['spec']['selector']}, which the fork's would"
                " have too: they would get its traffic. Select them by a label that the set's selector has"
            )
    if service is not None:
        spec["serviceName"] = name
    if spec.get("volumeClaimTemplates"):
        spec["volumeClaimTemplates"] = [
            {key: value for key, value in each.items() if key != "status"} for each in spec["volumeClaimTemplates"]
        ]
    made = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**(metadata.get("labels") or {}), **renamed},
            "annotations": {**_kept(metadata.get("annotations")), FORKED_FROM: metadata["name"]},
        },
        "spec": spec,
    }
    return made, service


def _forked_service(
    service: Manifest, old: str, name: str, labels: Mapping[str, str], renamed: Mapping[str, str]
) -> Manifest:
    selector = {**(service["spec"].get("selector") or {})}
    selector = {key: labels.get(key, value) for key, value in selector.items()}
    if not set(selector) & set(renamed):
        raise Refused(
            f"service {service['metadata']['name']} selects pods by labels that are not in the selector of sts/{old}:"
            " it would select the fork's pods as well"
        )
    kept = {
        key: value
        for key, value in service["spec"].items()
        if key in ("ports", "publishNotReadyAddresses", "type", "sessionAffinity")
    }
    if service["spec"].get("clusterIP") == "None":
        kept["clusterIP"] = "None"
    ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in kept.get("ports") or ()]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": service["metadata"]["namespace"],
            "labels": {**(service["metadata"].get("labels") or {}), **renamed},
            "annotations": {FORKED_FROM: service["metadata"]["name"]},
        },
        "spec": {**kept, "ports": ports, "selector": selector},
    }


def _match_labels(statefulset: Manifest) -> dict[str, str]:
    return dict((statefulset["spec"].get("selector") or {}).get("matchLabels") or {})


def _renamed(value: str, old: str, name: str) -> str:
    changed = name if value == old else f"{value}-{name}"
    if len(changed) > LONGEST_NAME:
        raise Refused(f"the label {changed!r} would be longer than {LONGEST_NAME} characters: choose a shorter name")
    return changed


def _selects(service: Manifest, labels: Mapping[str, str]) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _kept(annotations: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (annotations or {}).items() if key not in (LAST_APPLIED, RESTORING)}
