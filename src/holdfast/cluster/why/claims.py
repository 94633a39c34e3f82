"""Why a claim is not bound, or does not go (V rules)."""

from __future__ import annotations

from holdfast.api import quantity
from holdfast.api.conditions import is_terminating, phase
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.api.storage.storage_class import STORAGE_CLASSES

from .chain import Cause, kubectl, listed, name_of, subject
from .evidence import Evidence

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


def why_claim(evidence: Evidence, claim: Manifest) -> Cause | None:
    if is_terminating(claim):
        return _going(evidence, claim)
    match phase(claim):
        case "Bound":
            return None
        case "Lost":
            says = f"its volume {claim['spec'].get('volumeName')} is gone, and its data with it"
            return Cause(subject(claim), says, kubectl(claim, f"delete pvc {name_of(claim)}") + "  and make it anew")
    if claim["spec"].get("volumeName"):
        return _named_volume(evidence, claim, claim["spec"]["volumeName"])
    class_name = claim["spec"].get("storageClassName")
    if class_name is None:
        return _no_class(evidence, claim)
    if class_name == "":
        return _static(evidence, claim, "it asks for no class, so only a volume made by hand will do")
    found = evidence.get(STORAGE_CLASSES, class_name)
    if found is None:
        return _unknown_class(evidence, claim, class_name)
    return _of_class(evidence, claim, found)


def _going(evidence: Evidence, claim: Manifest) -> Cause:
    users = [name_of(pod) for pod in evidence.all(PODS) if name_of(claim) in claims_of(pod)]
    if users:
        says = f"it is to go, but stays as long as a pod uses it: {listed(users)}"
        return Cause(subject(claim), says, kubectl(claim, f"delete pod {' '.join(users[:3])}"))
    holders = listed(list(claim["metadata"].get("finalizers") or ()))
    return Cause(subject(claim), f"it is to go, and waits for whoever set the finalizers {holders}")


def _named_volume(evidence: Evidence, claim: Manifest, volume_name: str) -> Cause:
    volume = evidence.get(PERSISTENT_VOLUMES, volume_name)
    if volume is None:
        says = f"it asks for the volume {volume_name}, which does not exist"
        return Cause(subject(claim), says, f"make the PersistentVolume {volume_name}, or leave volumeName out")
    owner = volume["spec"].get("claimRef") or {}
    if owner and owner.get("uid") not in (None, claim["metadata"]["uid"]):
        because = why_volume(evidence, volume)
        says = f"it asks for the volume {volume_name}, which belongs to the claim {owner.get('name')}"
        return Cause(subject(claim), says, "" if because else "ask for another volume", because)
    problem = _mismatch(claim, volume) or "the two are about to be bound"
    return Cause(subject(claim), f"it asks for the volume {volume_name}: {problem}")


def _no_class(evidence: Evidence, claim: Manifest) -> Cause:
    says = "it names no storage class, and the cluster has no default one"
    names = [name_of(found) for found in evidence.all(STORAGE_CLASSES)]
    if not names:
        return _static(evidence, claim, says)
    proposed = "standard" if "standard" in names else names[0]
    patch = f'{{"metadata":{{"annotations":{{"{DEFAULT_CLASS}":"true"}}}}}}'
    return _static(evidence, claim, says, f"kubectl patch storageclass {proposed} -p '{patch}'")


def _unknown_class(evidence: Evidence, claim: Manifest, class_name: str) -> Cause:
    if not evidence.is_known(STORAGE_CLASSES):
        return Cause(subject(claim), f"no volume has been found for it yet in class {class_name}")
    names = listed([name_of(found) for found in evidence.all(STORAGE_CLASSES)]) or "none"
    says = f"it asks for the storage class {class_name}, which does not exist; there is {names}"
    return _static(evidence, claim, says, f"make the StorageClass {class_name}, or make the claim anew with another")


def _of_class(evidence: Evidence, claim: Manifest, storage_class: Manifest) -> Cause:
    provisioner, name = storage_class["provisioner"], name_of(storage_class)
    if provisioner == NO_PROVISIONER:
        return _static(evidence, claim, f"volumes of class {name} are made by hand")
    failure = evidence.last_message(claim, "ProvisioningFailed")
    if failure:
        return Cause(subject(claim), f"no volume could be made for it: {failure}", kubectl(claim, "get events"))
    waits = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
    if waits and not any(name_of(claim) in claims_of(pod) for pod in evidence.all(PODS)):
        says = f"class {name} makes a volume only when a pod uses the claim, and none does"
        return Cause(subject(claim), says, "make a pod that mounts it; until then all is well")
    if waits and evidence.events(claim, "WaitForPodScheduled"):
        return Cause(subject(claim), "its volume is made when its pod has found a node, and that has not happened yet")
    says = f"it waits for {provisioner}, the provisioner of class {name}, to make a volume"
    return Cause(subject(claim), says, f"see that {provisioner} runs; or use another class")


def _static(evidence: Evidence, claim: Manifest, why: str, cure: str = "") -> Cause:
    """No volume will be made, so one has to be there: why is none of those that are?"""
    problems = [
        f"{name_of(volume)} {problem}"
        for volume in evidence.all(PERSISTENT_VOLUMES)
        if (problem := _mismatch(claim, volume))
    ]
    says = f"{why}; of the volumes there are, {listed(problems)}" if problems else f"{why}; there are no volumes"
    size = claim["spec"]["resources"]["requests"]["storage"]
    modes = ", ".join(claim["spec"].get("accessModes") or ())
    return Cause(subject(claim), says, cure or f"make a PersistentVolume of at least {size} with {modes}")


def _mismatch(claim: Manifest, volume: Manifest) -> str:
    """What speaks against the volume; empty if nothing does."""
    wanted, offered = claim["spec"], volume["spec"]
    owner = offered.get("claimRef") or {}
    if owner and (owner.get("namespace"), owner.get("name")) != (
        claim["metadata"].get("namespace"),
        name_of(claim),
    ):
        return f"belongs to the claim {owner.get('namespace')}/{owner.get('name')}"
    if owner and owner.get("uid") not in (None, "", claim["metadata"]["uid"]):
        return "belongs to an earlier claim of this name"
    if (offered.get("storageClassName") or "") != (wanted.get("storageClassName") or ""):
        return f"is of class {offered.get('storageClassName') or 'none'}"
    size = wanted["resources"]["requests"]["storage"]
    if quantity.compare(offered["capacity"]["storage"], size) < 0:
        return f"is too small ({offered['capacity']['storage']})"
    missing = set(wanted.get("accessModes") or ()) - set(offered.get("accessModes") or ())
    if missing:
        return f"cannot be used as {listed(sorted(missing))}"
    if (offered.get("volumeMode") or "Filesystem") != (wanted.get("volumeMode") or "Filesystem"):
        return f"is of mode {offered.get('volumeMode')}"
    labels = volume["metadata"].get("labels") or {}
    selector = (wanted.get("selector") or {}).get("matchLabels") or {}
    if not selector.items() <= labels.items():
        return "has other labels than its selector wants"
    return "is on its way out" if is_terminating(volume) else ""


def why_volume(evidence: Evidence, volume: Manifest) -> Cause | None:
    name = name_of(volume)
    if is_terminating(volume):
        holders = listed(list(volume["metadata"].get("finalizers") or ()))
        return Cause(subject(volume), f"it is to go, and is held by {holders}")
    match phase(volume):
        case "Released":
            owner = volume["spec"].get("claimRef") or {}
            gone = f"its claim {owner.get('namespace')}/{owner.get('name')} is gone"
            says = f"{gone}; its data is kept, so nobody else gets it"
            cure = f'kubectl patch pv {name} --type json -p \'[{{"op":"remove","path":"/spec/claimRef"}}]\''
            return Cause(subject(volume), says, cure)
        case "Failed":
            says = f"it could not be cleaned up: {(volume.get('status') or {}).get('message', '')}"
            return Cause(subject(volume), says, f"see to its data, then kubectl delete pv {name}")
    return None


def claims_of(pod: Manifest) -> list[str]:
    """The claims that the pod names, those of its ephemeral volumes included."""
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            found.append(str(claim["claimName"]))
        elif "ephemeral" in volume:
            found.append(f"{name_of(pod)}-{volume['name']}")
    return found
