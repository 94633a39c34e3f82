"""What the server warns of in pods and templates, in upstream's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.batch.cron_job import CRON_JOBS
from holdfast.api.core.pod import PODS
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest


def warnings(container: Manifest | None = None, annotations: Manifest | None = None, **spec: Any) -> list[str]:
    main = {"name": "main", "image": "app:1", **(container or {})}
    body = {"metadata": {"name": "a", "annotations": annotations or {}}, "spec": {"containers": [main], **spec}}
    manifest, _ = decode_body(PODS, json.dumps(body).encode(), "application/json")
    PODS.default(manifest)
    return PODS.warnings(manifest)


def test_an_ordinary_pod_is_nothing_to_warn_of() -> None:
    assert warnings({"env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}) == []


@pytest.mark.parametrize(
    ("spec", "warning"),
    [
        ({"nodeSelector": {"beta.kubernetes.io/os": "linux"}},
         'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'),
        ({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]},
         "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"),
        ({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z"}]}}},
         "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: "
         "a null labelSelector results in matching no pod"),
        ({"volumes": [{"name": "v", "gitRepo": {"repository": "a"}}]},
         "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"),
        ({"hostAliases": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.4"}]}, 'spec.hostAliases[1].ip: duplicate ip "1.2.3.4"'),
        ({"imagePullSecrets": [{"name": "s"}, {"name": "s"}]}, 'spec.imagePullSecrets[1].name: duplicate name "s"'),
        ({"imagePullSecrets": [{}]}, 'spec.imagePullSecrets[0].name: invalid empty name ""'),
        ({"volumes": [{"name": "v", "configMap": {"name": "c", "items": [
            {"key": "a", "path": "d"}, {"key": "b", "path": "d/e"}]}}]},
         'volume "v" (ConfigMap "c"): overlapping paths: "d/e" with "d"'),
        ({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}},
            {"secret": {"name": "s", "items": [{"key": "k", "path": "t"}]}}]}}]},
         'volume "v" (Projected Secret "s"): overlapping paths: "t" with "t"'),
    ],
)  # fmt: skip
def test_a_spec_is_warned_of(spec: Manifest, warning: str) -> None:
    assert warnings(**spec) == [warning]


@pytest.mark.parametrize(
    ("container", "warning"),
    [
        ({"resources": {"requests": {"memory": "100m"}}}, 'resources.requests[memory]: fractional byte value "100m" '
         "is invalid, must be an integer"),
        ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
         'env[1]: hides previous definition of "A", which may be dropped when using apply'),
        ({"ports": [{"containerPort": 80}, {"containerPort": 80}]},
         "ports[1]: duplicate port definition with spec.containers[0].ports[0]"),
        ({"ports": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 8080}]},
         "ports[1]: overlapping port definition with spec.containers[0].ports[0]"),
        ({"ports": [{"containerPort": 80, "hostIP": "127.0.0.1"}]}, "ports[0]: hostIP set without hostPort: "
         "{Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:127.0.0.1}"),
    ],
)  # fmt: skip
def test_a_container_is_warned_of(container: Manifest, warning: str) -> None:
    assert warnings(container) == [f"spec.containers[0].{warning}"]


def test_a_variable_may_build_on_an_earlier_one_of_its_name() -> None:
    assert warnings({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]}) == []


def test_annotations_from_before_there_were_fields() -> None:
    assert warnings(annotations={"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}) == [
        "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: "
        'non-functional in v1.27+; use the "seccompProfile" field instead'
    ]


def test_a_template_is_named_by_where_it_stands() -> None:
    template = {"spec": {"containers": [], "terminationGracePeriodSeconds": -1}}
    rest = "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
    assert STATEFUL_SETS.warnings({"spec": {"template": template, "revisionHistoryLimit": -1}}) == [
        f"spec.template.{rest}",
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
    ]
    cron_job = {"spec": {"jobTemplate": {"spec": {"template": template}}}}
    assert CRON_JOBS.warnings(cron_job) == [f"spec.jobTemplate.spec.template.{rest}"]


def test_a_name_that_is_no_host_name_surprises() -> None:
    assert PODS.create_warnings({"metadata": {"name": "a.b"}}) == [
        "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
        "a DNS label is recommended: [must not contain dots]"
    ]
