"""Why a namespace does not go."""

from __future__ import annotations

from holdfast.api.conditions import condition, phase
from holdfast.api.resource import Manifest

from .chain import Cause, name_of, subject
from .evidence import Evidence

REMAINS = ("NamespaceFinalizersRemaining", "NamespaceContentRemaining", "NamespaceDeletionContentFailure")


def why_namespace(evidence: Evidence, namespace: Manifest) -> Cause | None:
    if phase(namespace) != "Terminating":
        return None
    for kind in REMAINS:
        found = condition(namespace, kind)
        if found is not None and found.get("status") == "True":
            says = f"it is to go, after what is in it: {found.get('message', '')}"
            return Cause(subject(namespace), says, f"kubectl get all,pvc -n {name_of(namespace)}")
    return Cause(subject(namespace), "it is to go, and its content is being deleted")
