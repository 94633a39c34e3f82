"""What expressions of policies see of a request and of its namespace, as types (A249).

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/cel/compile.go.
"""

from __future__ import annotations

from holdfast.api.custom.signatures import Kind, Made, Opaque, listed


def _object(name: str, /, **fields: Kind) -> Opaque:
    return Opaque(f"kubernetes.{name}", fields=fields)


_TEXTS = Made("map", "string")
_KIND = _object("GroupVersionKind", group="string", version="string", kind="string")
_RESOURCE = _object("GroupVersionResource", group="string", version="string", resource="string")
_USER = _object("UserInfo", username="string", uid="string", groups=listed("string"), extra=Made("map", "dyn"))

REQUEST = _object(
    "AdmissionRequest",
    kind=_KIND,
    resource=_RESOURCE,
    subResource="string",
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource="string",
    name="string",
    namespace="string",
    operation="string",
    userInfo=_USER,
    dryRun="bool",
    options="dyn",
)

_METADATA = _object(
    "NamespaceMetadata",
    name="string",
    generateName="string",
    namespace="string",
    labels=_TEXTS,
    annotations=_TEXTS,
    uid="string",
    creationTimestamp="dyn",
    deletionGracePeriodSeconds="int",
    deletionTimestamp="dyn",
    generation="int",
    resourceVersion="string",
    finalizers=listed("string"),
)
_CONDITION = _object(
    "NamespaceCondition",
    status="string",
    type="string",
    lastTransitionTime="dyn",
    message="string",
    reason="string",
)

NAMESPACE = _object(
    "Namespace",
    apiVersion="string",
    kind="string",
    metadata=_METADATA,
    spec=_object("NamespaceSpec", finalizers=listed("string")),
    status=_object("NamespaceStatus", conditions=listed(_CONDITION), phase="string"),
)
