"""Which volume suits which claim: the matching that the volume binder and the scheduler share (V20-V24).

Source: Kubernetes, component-helpers/storage/volume and pkg/controller/volume/persistentvolume/index.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from holdfast.api.core import node_affinity
from holdfast.api.quantity import whole
from holdfast.api.resource import Manifest
from holdfast.api.selectors import selector_from_manifest

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
BETA_STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class"
IS_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def annotation(manifest: Manifest, key: str) -> str | None:
    value: str | None = (manifest["metadata"].get("annotations") or {}).get(key)
    return value


def class_of(manifest: Manifest) -> str:
    """The class of a claim or volume; empty for none. The old annotation wins over the field (V8)."""
    legacy = annotation(manifest, BETA_STORAGE_CLASS)
    return legacy if legacy is not None else manifest["spec"].get("storageClassName") or ""


def claims_of(pod: Manifest) -> list[tuple[str, bool]]:
    """The claims a pod uses: (name, whether it is made for one of the pod's ephemeral volumes)."""
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if reference := volume.get("persistentVolumeClaim"):
            found.append((reference["claimName"], False))
        elif volume.get("ephemeral"):
            found.append((f"{pod['metadata']['name']}-{volume['name']}", True))
    return found


def is_owned_by(claim: Manifest, pod: Manifest) -> bool:
    """Whether the claim was made for that very pod (V110)."""
    owners = claim["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner.get("uid") == pod["metadata"]["uid"] for owner in owners)


def not_owned(claim_name: str, pod: Manifest) -> str:
    """What is said where another claim has the name of one that a pod brings along."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    return f"PVC {namespace}/{claim_name} was not created for pod {namespace}/{name} (pod is not owner)"


def claim_keys(pod: Manifest) -> list[str]:
    """`namespace/name` of each claim a pod uses: an index of pods."""
    namespace = pod["metadata"].get("namespace", "")
    return [f"{namespace}/{name}" for name, _ in claims_of(pod)]


def claim_key(volume: Manifest) -> str:
    """`namespace/name` of the claim a volume is for; empty if it is for none."""
    reference = volume["spec"].get("claimRef")
    return f"{reference.get('namespace', '')}/{reference['name']}" if reference else ""


def claim_reference(claim: Manifest) -> Manifest:
    """A complete claimRef (V18)."""
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }


def locked(manifest: Manifest, patch: Manifest) -> Manifest:
    """A merge patch that fails unless the object is still the version decided upon."""
    metadata = manifest["metadata"]
    lock = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return {**patch, "metadata": {**patch.get("metadata", {}), **lock}}


def reservation(volume: Manifest, claim: Manifest) -> Manifest:
    """The patch that reserves a volume. The annotation says that not the admin chose the claim (V18)."""
    patch: Manifest = {"spec": {"claimRef": claim_reference(claim)}}
    if not volume["spec"].get("claimRef"):
        patch["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
    return locked(volume, patch)


def free_classes(volume: Manifest) -> list[str]:
    """The class of a volume that nobody has claimed: an index of volumes for matching."""
    return [] if volume["spec"].get("claimRef") else [class_of(volume)]


def requested_bytes(claim: Manifest) -> int:
    return whole(claim["spec"]["resources"]["requests"]["storage"])


def capacity_bytes(volume: Manifest) -> int:
    return whole(volume["spec"]["capacity"]["storage"])


def mode_of(manifest: Manifest) -> str:
    return manifest["spec"].get("volumeMode") or "Filesystem"


def is_reserved_for(volume: Manifest, claim: Manifest) -> bool:
    """Whether the volume's claimRef names this claim: by name, and by uid if it carries one (V20)."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    metadata = claim["metadata"]
    if reference.get("name") != metadata["name"] or reference.get("namespace") != metadata["namespace"]:
        return False
    return not reference.get("uid") or reference["uid"] == metadata["uid"]


def is_default_class(storage_class: Manifest) -> bool:
    return annotation(storage_class, IS_DEFAULT_CLASS) == "true"


def default_class(storage_classes: Iterable[Manifest]) -> str:
    """The class for claims that name none: of several the newest, ties by name; empty if there is none (V9)."""
    defaults = sorted(
        (each["metadata"] for each in storage_classes if is_default_class(each)), key=lambda metadata: metadata["name"]
    )
    newest = max(defaults, key=lambda metadata: metadata.get("creationTimestamp") or "", default=None)
    return newest["name"] if newest else ""


def best_match(
    claim: Manifest,
    volumes: Iterable[Manifest],
    *,
    node: Manifest | None = None,
    taken: Collection[str] = (),
    is_delayed: bool = False,
) -> Manifest | None:
    """The volume that `claim` should be bound to, or None.

    Volumes are looked at in groups of equal access modes, the fewest modes first; the first group with a
    match decides, and in it the smallest volume (V23). A volume reserved for the claim wins in its group
    (V21). With `is_delayed` (and no node) only such a volume counts: others wait for the pod (V36).
    `taken` are names of volumes given to other claims of the same pod.
    """
    wanted = set(claim["spec"].get("accessModes") or ())
    groups: dict[frozenset[str], list[Manifest]] = {}
    for volume in volumes:
        modes = frozenset(volume["spec"].get("accessModes") or ())
        if wanted <= modes and volume["metadata"]["name"] not in taken:
            groups.setdefault(modes, []).append(volume)
    for modes in sorted(groups, key=lambda modes: (len(modes), sorted(modes))):
        if found := _best_in_group(claim, groups[modes], node, is_delayed):
            return found
    return None


def _best_in_group(claim: Manifest, group: list[Manifest], node: Manifest | None, is_delayed: bool) -> Manifest | None:
    fitting = [volume for volume in group if _could_hold(volume, claim)]
    for volume in fitting:
        if is_reserved_for(volume, claim):
            return volume if node is None or node_affinity.volume_allows(volume, node) else None
    if is_delayed and node is None:
        return None
    free = [volume for volume in fitting if _is_free_for(volume, claim, node)]
    return min(free, key=lambda volume: (capacity_bytes(volume), volume["metadata"]["name"]), default=None)


def _could_hold(volume: Manifest, claim: Manifest) -> bool:
    """The first filter, V20."""
    return (
        not volume["metadata"].get("deletionTimestamp")
        and (not volume["spec"].get("claimRef") or is_reserved_for(volume, claim))
        and mode_of(volume) == mode_of(claim)
        and _attributes_class(volume) == _attributes_class(claim)
        and capacity_bytes(volume) >= requested_bytes(claim)
    )


def _is_free_for(volume: Manifest, claim: Manifest, node: Manifest | None) -> bool:
    """The second filter, V22, for volumes that nobody reserved."""
    if (volume.get("status") or {}).get("phase") != "Available" or class_of(volume) != class_of(claim):
        return False
    selector = claim["spec"].get("selector")
    if selector and not selector_from_manifest(selector).matches(volume["metadata"].get("labels") or {}):
        return False
    return node is None or node_affinity.volume_allows(volume, node)


def _attributes_class(manifest: Manifest) -> str:
    return manifest["spec"].get("volumeAttributesClassName") or ""


def why_unsuitable(volume: Manifest, claim: Manifest) -> str:
    """What keeps a claim from the free volume it names, as VolumeMismatch says it; empty if nothing does (V24)."""
    if volume["metadata"].get("deletionTimestamp"):
        return f'the volume is marked for deletion "{volume["metadata"]["name"]}"'
    if capacity_bytes(volume) < requested_bytes(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if mode_of(volume) != mode_of(claim):
        return "incompatible volumeMode"
    if not set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ()):
        return "incompatible accessMode"
    if _attributes_class(volume) != _attributes_class(claim):
        return "volumeAttributesClassName does not match"
    return ""
