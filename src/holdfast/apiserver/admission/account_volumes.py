"""What a pod's containers need to talk to the API, mounted into each of them (A234, W106)."""

from __future__ import annotations

from random import Random

from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.names import GENERATED_LETTERS
from holdfast.api.resource import Manifest
from holdfast.apiserver.auth.account_tokens import POD_TOKEN_S
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

from .pods import MIRROR

PREFIX = "kube-api-access-"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def mount(cache: Cache, call: Call, new: Manifest, random: Random) -> None:
    """A token of the pod's account, the authority's certificate and the namespace, for each container that
    has nothing at their place yet. The pod's account exists: that was made sure of before."""
    if MIRROR in (new["metadata"].get("annotations") or {}) or not _is_wanted(cache, call, new):
        return
    spec = new["spec"]
    volumes = spec.get("volumes") or []
    names = [volume.get("name") or "" for volume in volumes]
    own = next((name for name in names if name.startswith(PREFIX)), "")
    volume = own or PREFIX + "".join(random.choice(GENERATED_LETTERS) for _ in range(5))
    lacking = [
        container
        for member in ("initContainers", "containers")
        for container in spec.get(member) or ()
        if all(each.get("mountPath") != MOUNT_PATH for each in container.get("volumeMounts") or ())
    ]
    for container in lacking:
        mounts = container.get("volumeMounts") or []
        container["volumeMounts"] = [*mounts, {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH}]
    if lacking and not own:
        spec["volumes"] = [*volumes, {"name": volume, "projected": _sources()}]


def _is_wanted(cache: Cache, call: Call, pod: Manifest) -> bool:
    """The pod has the first word, then its account; otherwise yes."""
    account = cache.of(SERVICE_ACCOUNTS).get(call.namespace, pod["spec"].get("serviceAccountName") or "")
    for said in (pod["spec"], account.manifest if account else {}):
        if (answer := said.get("automountServiceAccountToken")) is not None:
            return bool(answer)
    return True


def _sources() -> Manifest:
    return {
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": POD_TOKEN_S, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                    ]
                }
            },
        ],
    }
