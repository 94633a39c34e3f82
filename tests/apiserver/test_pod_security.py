"""A namespace's labels decide which pods may be made in it (A244)."""

from __future__ import annotations

from typing import Any

NAMESPACE = "/api/v1/namespaces/ns"
PODS = f"{NAMESPACE}/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/ns/deployments"
MERGE = {"content-type": "application/merge-patch+json"}
LABEL = "pod-security.kubernetes.io/"
UNSAID = (
    'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), '
    'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), '
    'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), '
    'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
    '"Localhost")'
)


async def demand(web: Any, **labels: str | None) -> Any:
    given = {LABEL + name.replace("_", "-"): value for name, value in labels.items()}
    return await web("PATCH", NAMESPACE, {"metadata": {"labels": given}}, headers=MERGE)


async def make(web: Any, name: str = "p", privileged: bool = False, **context: Any) -> Any:
    context |= {"privileged": True} if privileged else {}
    spec = {"containers": [{"name": "a", "image": "a:1", "securityContext": context}]}
    return await web("POST", PODS, {"metadata": {"name": name}, "spec": spec})


async def workload(web: Any, path: str = DEPLOYMENTS) -> Any:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return await web("POST", path, {"metadata": {"name": "w"}, "spec": spec})


def warnings(answer: Any) -> list[str]:
    return [
        text.removeprefix('299 - "').removesuffix('"').replace('\\"', '"') for text in answer.headers.get("Warning", ())
    ]


async def test_a244_a_pod_that_violates_what_is_enforced_is_forbidden(web: Any) -> None:
    assert (await make(web, "before", privileged=True)).code == 201
    assert (await demand(web, enforce="baseline")).code == 200
    answer = await make(web, privileged=True)
    assert (answer.code, answer["reason"], answer["details"]) == (403, "Forbidden", {"name": "p", "kind": "pods"})
    assert answer["message"] == (
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged (container "a" must not set '
        "securityContext.privileged=true)"
    )
    assert (await make(web)).code == 201
    assert (await demand(web, enforce=None)).code == 200
    assert (await make(web, "after", privileged=True)).code == 201


async def test_a244_what_makes_pods_is_let_through_with_a_warning(web: Any) -> None:
    await demand(web, enforce="restricted", warn="restricted", warn_version="v1.36")
    told = [f'would violate PodSecurity "restricted:v1.36": {UNSAID}']
    made = await workload(web)
    assert (made.code, warnings(made)) == (201, told)
    assert (await make(web))["message"] == f'pods "p" is forbidden: violates PodSecurity "restricted:latest": {UNSAID}'
    template = {"metadata": {}, "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]}}
    job = {"metadata": {"name": "j"}, "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}}
    assert warnings(await web("POST", "/apis/batch/v1/namespaces/ns/cronjobs", job)) == told
    assert warnings(await web("GET", f"{DEPLOYMENTS}/w")) == []


async def test_a244_pods_are_warned_of_what_is_not_enforced(web: Any) -> None:
    await demand(web, warn="restricted")
    made = await make(web)
    assert (made.code, warnings(made)) == (201, [f'would violate PodSecurity "restricted:latest": {UNSAID}'])


async def test_a244_only_changes_that_matter_are_looked_at(web: Any) -> None:
    await make(web)
    await demand(web, enforce="restricted")
    labelled = await web("PATCH", f"{PODS}/p", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert labelled.code == 200
    image = {"spec": {"containers": [{"name": "a", "image": "a:2"}]}}
    strategic = {"content-type": "application/strategic-merge-patch+json"}
    assert (await web("PATCH", f"{PODS}/p", image, headers=strategic)).code == 403
    debugger = {"spec": {"ephemeralContainers": [{"name": "d", "image": "d:1"}]}}
    assert (await web("PATCH", f"{PODS}/p/ephemeralcontainers", debugger, headers=strategic)).code == 403


async def test_a244_labels_that_cannot_be_read_are_refused_when_they_change(web: Any) -> None:
    answer = await demand(web, enforce="strict", warn_version="1.25")
    assert (answer.code, answer["reason"]) == (422, "Invalid")
    assert answer["message"] == (
        'Namespace "ns" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": '
        "must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: "
        'Invalid value: "1.25": must be "latest" or "v1.x"]'
    )
    labels = {f"{LABEL}audit": "none"}
    made = await web("POST", "/api/v1/namespaces", {"metadata": {"name": "other", "labels": labels}})
    assert made["message"] == (
        'Namespace "other" is invalid: metadata.labels[pod-security.kubernetes.io/audit]: Invalid value: "none": '
        "must be one of privileged, baseline, restricted"
    )


async def test_a244_who_makes_a_namespace_stricter_is_told_of_the_pods_that_would_be_refused(web: Any) -> None:
    for name in ("c", "b", "a"):
        await make(web, name)
    await make(web, "d", privileged=True)
    short = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    assert warnings(await demand(web, enforce="restricted")) == [
        'existing pods in namespace "ns" violate the new PodSecurity enforce level "restricted:latest"',
        f"a (and 2 other pods): {short}",
        f"d: privileged, {short}",
    ]
    assert warnings(await demand(web, enforce="baseline")) == []
