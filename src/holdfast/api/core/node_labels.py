"""Labels of nodes that have newer names: a warning for whoever still selects by the old ones.

Source: Kubernetes, pkg/api/node/util.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names
from holdfast.api.resource import Manifest

OLD_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
NEWER_LABELS = {
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def term_warnings(field: str, term: Manifest, *, is_preference: bool = False) -> Iterator[str]:
    """Of one term of a node selector. A preference may name values that no label can have: it is never met."""
    for i, expression in enumerate(term.get("matchExpressions", ())):
        at, key = f"{field}.matchExpressions[{i}]", expression.get("key", "")
        if key in OLD_LABELS:
            yield f"{at}.key: {key} is {OLD_LABELS[key]}"
        for j, value in enumerate(expression.get("values", ()) if is_preference else ()):
            if error := names.label_value(value):
                yield f"{at}.values[{j}]: {value} is invalid, {error}"
