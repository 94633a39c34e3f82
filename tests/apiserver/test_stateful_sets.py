"""StatefulSets at the API's door: what is stored, what is refused, how patches merge, who may write what."""

from __future__ import annotations

from typing import Any

import pytest

SETS = "/apis/apps/v1/namespaces/ns/statefulsets"
WEB = f"{SETS}/web"
PODS = "/api/v1/namespaces/ns/pods"
MERGE, STRATEGIC, APPLY = (
    {"content-type": f"application/{kind}"}
    for kind in ("merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
)


def a_set(claims: list[str] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "app:1"}]
    made = {
        "replicas": 2,
        "serviceName": "web",
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}},
        **spec,
    }
    if claims:
        made["volumeClaimTemplates"] = [claim_template(name) for name in claims]
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": made}


def claim_template(name: str, size: str = "1Gi") -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return {"metadata": {"name": name}, "spec": spec}


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


# What is stored


async def test_s88_a_rolling_update_without_parameters_is_kept_without_them(web: Any) -> None:
    made = await web("POST", SETS, a_set(updateStrategy={"type": "RollingUpdate"}))
    assert made["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    for headers in (MERGE, STRATEGIC):
        await web("PATCH", WEB, {"spec": {"replicas": 3}}, headers=headers)
        assert (await web("GET", WEB))["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    with_it = {"spec": {"updateStrategy": {"rollingUpdate": {}}}}
    assert (await web("PATCH", WEB, with_it, headers=MERGE))["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"partition": 0},
    }
    without = {"spec": {"updateStrategy": {"rollingUpdate": None}}}
    assert (await web("PATCH", WEB, without, headers=MERGE))["spec"]["updateStrategy"] == {"type": "RollingUpdate"}


async def test_s134_s179_a_new_set_has_two_counts_whatever_was_sent(web: Any) -> None:
    made = await web("POST", SETS, {**a_set(), "status": {"replicas": 7, "readyReplicas": 7}})
    assert made["status"] == {"replicas": 0, "availableReplicas": 0}


async def test_s163_template_and_claim_templates_are_filled_in_like_pods_and_claims(web: Any) -> None:
    port = {"containerPort": 80}
    template = a_set()["spec"]["template"]
    template["spec"]["containers"][0]["ports"] = [port]
    spec = (await web("POST", SETS, a_set(["data"], template=template)))["spec"]
    pod = spec["template"]["spec"]
    assert (pod["dnsPolicy"], pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == (
        *("ClusterFirst", "Always"),
        30,
    )
    assert pod["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert spec["volumeClaimTemplates"][0]["spec"]["volumeMode"] == "Filesystem"
    assert spec["volumeClaimTemplates"][0]["status"] == {"phase": "Pending"}


async def test_s164_how_sets_are_found(web: Any) -> None:
    resources = {one["name"]: one for one in (await web("GET", "/apis/apps/v1"))["resources"]}
    found = resources["statefulsets"]
    assert (found["shortNames"], found["categories"], found["singularName"]) == (["sts"], ["all"], "statefulset")
    (group,) = [group for group in (await web("GET", "/apis"))["groups"] if group["name"] == "apps"]
    assert [version["version"] for version in group["versions"]] == ["v1"]
    assert (await web("GET", "/apis/apps/v1beta1")).code == 404


async def test_s177_a_quantity_is_served_in_its_canonical_form(web: Any) -> None:
    body = a_set()
    body["spec"]["volumeClaimTemplates"] = [claim_template("data", "1024Mi")]
    made = await web("POST", SETS, body)
    (claim,) = made["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    again = await web("PUT", WEB, body)
    assert (again.code, again["metadata"]["generation"]) == (200, 1)


# What changes, and what does not


async def test_s136_spec_and_status_have_doors_of_their_own(web: Any) -> None:
    made = await web("POST", SETS, a_set())
    main = await web("PUT", WEB, {**made.body, "status": {"replicas": 5}})
    assert main["status"]["replicas"] == 0
    other = {**made["spec"], "replicas": 9}
    status = await web("PUT", f"{WEB}/status", {**made.body, "spec": other, "status": {"replicas": 1}})
    assert (status["spec"]["replicas"], status["status"]["replicas"]) == (2, 1)
    patch = {"spec": {"replicas": 9}, "status": {"replicas": 2}}
    status = await web("PATCH", f"{WEB}/status", patch, headers=MERGE)
    assert (status["spec"]["replicas"], status["status"]["replicas"]) == (2, 2)
    assert status["metadata"]["generation"] == 1


async def test_s139_conditions_of_clients_are_read_back_and_seen_in_a_watch(web: Any) -> None:
    made = await web("POST", SETS, a_set())
    watch = await web.watch(f"{SETS}?watch=1&resourceVersion={made['metadata']['resourceVersion']}")
    put = {"type": "Put", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await web("PUT", f"{WEB}/status", {**made.body, "status": {**made["status"], "conditions": [put]}})
    assert (await web("GET", f"{WEB}/status"))["status"]["conditions"] == [put]
    patched = {"type": "Patched", "status": "False"}
    await web("PATCH", f"{WEB}/status", {"status": {"conditions": [patched]}}, headers=MERGE)
    assert (await web("GET", WEB))["status"]["conditions"][0]["type"] == "Patched"
    seen = [event["object"]["status"]["conditions"][0]["type"] for event in await watch.events(2)]
    assert seen == ["Put", "Patched"]


async def test_s168_a_negative_history_limit_is_warned_of_on_create_and_update(web: Any) -> None:
    made = await web("POST", SETS, a_set(revisionHistoryLimit=-1))
    updated = await web("PATCH", WEB, {"spec": {"replicas": 3}}, headers=MERGE)
    text = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
    assert (made.code, updated.code) == (201, 200)
    for answer in (made, updated):
        (warning,) = answer.headers.get("warning") or answer.headers["Warning"]
        assert text in warning


async def test_s179_marking_for_deletion_raises_the_generation(web: Any) -> None:
    await web("POST", SETS, a_set())
    marked = await web("DELETE", WEB, {"propagationPolicy": "Foreground"})
    assert marked["metadata"]["generation"] == 2
    assert marked["metadata"]["deletionTimestamp"]


async def test_s180_a_put_needs_no_version_and_never_creates(web: Any) -> None:
    absent = await web("PUT", WEB, a_set())
    assert (absent.code, absent["message"]) == (404, 'statefulsets.apps "web" not found')
    await web("POST", SETS, a_set())
    put = await web("PUT", WEB, a_set(replicas=5))
    assert (put.code, put["spec"]["replicas"]) == (200, 5)


async def test_s205_applying_the_same_again_changes_nothing(web: Any) -> None:
    for _ in range(2):
        answer = await web("PATCH", f"{WEB}?fieldManager=me", a_set(["data"]), headers=APPLY)
    assert answer["metadata"]["generation"] == 1


# How patches merge


@pytest.mark.parametrize("headers", [MERGE, STRATEGIC])
async def test_s181_another_strategy_alone_leaves_the_parameters_and_is_refused(web: Any, headers: Any) -> None:
    await web("POST", SETS, a_set())
    refused = await web("PATCH", WEB, {"spec": {"updateStrategy": {"type": "OnDelete"}}}, headers=headers)
    assert (refused.code, refused["message"]) == (
        422,
        'StatefulSet.apps "web" is invalid: spec.updateStrategy.rollingUpdate: Invalid value: '
        '{"Partition":0,"MaxUnavailable":null}: only allowed for updateStrategy \'RollingUpdate\'',
    )
    right = {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}
    assert (await web("PATCH", WEB, right, headers=headers))["spec"]["updateStrategy"] == {"type": "OnDelete"}


@pytest.mark.parametrize("headers", [MERGE, STRATEGIC, APPLY])
async def test_s182_claim_templates_are_one_list_that_is_replaced(web: Any, headers: Any) -> None:
    await web("POST", SETS, a_set(["data", "log"]))
    patch = {"spec": {"volumeClaimTemplates": [claim_template("data")]}}
    if headers is APPLY:
        patch |= {"apiVersion": "apps/v1", "kind": "StatefulSet"}
    answer = await web("PATCH", f"{WEB}?fieldManager=me&force=true", patch, headers=headers)
    if headers is not APPLY:
        answer = await web("PATCH", WEB, patch, headers=headers)
    assert answer.code == 422, "a merge would have changed nothing"
    assert "updates to statefulset spec for fields other than" in answer["message"]


def a_pod_with(containers: list[Any], **more: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers, **more}}


async def test_s182_the_template_merges_like_a_pod(web: Any) -> None:
    main = {
        "name": "main",
        "image": "app:1",
        "env": [{"name": "A", "value": "1"}],
        "ports": [{"containerPort": 80}],
        "volumeMounts": [{"name": "v", "mountPath": "/a"}],
    }
    volume = {"name": "v", "emptyDir": {}}
    await web("POST", SETS, a_set(template=a_pod_with([main], volumes=[volume])))
    change = {
        "name": "main",
        "env": [{"name": "B", "value": "2"}],
        "ports": [{"containerPort": 81}],
        "volumeMounts": [{"name": "w", "mountPath": "/b"}],
    }
    patch = {"spec": {"template": {"spec": {"containers": [change], "volumes": [{"name": "w", "emptyDir": {}}]}}}}
    pod = (await web("PATCH", WEB, patch, headers=STRATEGIC))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "app:1"
    assert names(container["env"]) == ["B", "A"]
    assert [port["containerPort"] for port in container["ports"]] == [81, 80]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/b", "/a"]
    assert names(pod["volumes"]) == ["w", "v"]


@pytest.mark.parametrize(
    ("patched", "order", "merged"),
    [
        pytest.param(["new"], None, ["new", "a", "b", "c"], id="what is added comes first"),
        pytest.param(["c", "a"], None, ["b", "c", "a"], id="the patch's own order, the rest where it stood"),
        pytest.param(["b"], None, ["a", "b", "c"], id="what is not touched keeps its place"),
        pytest.param(["new"], ["a", "new", "b", "c"], ["a", "new", "b", "c"], id="an order that is given"),
    ],
)
async def test_s182_the_order_of_a_merged_list(
    web: Any, patched: list[str], order: list[str] | None, merged: list[str]
) -> None:
    stored = [{"name": name, "image": "app:1"} for name in "abc"]
    await web("POST", SETS, a_set(template=a_pod_with(stored)))
    spec: dict[str, Any] = {"containers": [{"name": name, "image": "app:2"} for name in patched]}
    if order:
        spec["$setElementOrder/containers"] = [{"name": name} for name in order]
    answer = await web("PATCH", WEB, {"spec": {"template": {"spec": spec}}}, headers=STRATEGIC)
    assert names(answer["spec"]["template"]["spec"]["containers"]) == merged


async def test_s182_an_apply_tells_ports_apart_by_number_and_protocol(web: Any) -> None:
    def applied(*protocols: str) -> dict[str, Any]:
        ports = [{"containerPort": 53, "protocol": protocol} for protocol in protocols]
        return a_set(template=a_pod_with([{"name": "main", "image": "app:1", "ports": ports}]))

    await web("PATCH", f"{WEB}?fieldManager=one", applied("TCP"), headers=APPLY)
    answer = await web("PATCH", f"{WEB}?fieldManager=two", applied("UDP"), headers=APPLY)
    (container,) = answer["spec"]["template"]["spec"]["containers"]
    assert sorted(port["protocol"] for port in container["ports"]) == ["TCP", "UDP"]


async def test_s183_a_patch_may_replace_the_template_and_the_directive_is_not_stored(web: Any) -> None:
    stored = a_pod_with([{"name": name, "image": "app:1"} for name in "ab"], nodeName="n1")
    await web("POST", SETS, a_set(template=stored))
    replacing = {"$patch": "replace", **a_pod_with([{"name": "c", "image": "app:2"}])}
    template = (await web("PATCH", WEB, {"spec": {"template": replacing}}, headers=STRATEGIC))["spec"]["template"]
    assert names(template["spec"]["containers"]) == ["c"]
    assert "nodeName" not in template["spec"]
    assert "$patch" not in template


@pytest.mark.parametrize("more", [{}, {"status": {}}, {"status": {"phase": "Pending"}}, {"kind": "Other"}])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_s38_s184_claim_templates_sent_without_defaults_are_no_change(web: Any, method: str, more: Any) -> None:
    made = await web("POST", SETS, a_set(["data"]))
    template = claim_template("data")
    template["metadata"]["creationTimestamp"] = None
    body = a_set(volumeClaimTemplates=[{**template, **more}])
    headers = {} if method == "PUT" else MERGE
    answer = await web(method, WEB, body, headers=headers)
    assert (answer.code, answer["metadata"]["generation"]) == (200, 1)
    assert answer["spec"]["volumeClaimTemplates"] == made["spec"]["volumeClaimTemplates"]


# Pods of a set


async def test_s36_the_volumes_of_a_pod_that_is_there_are_never_changed(web: Any) -> None:
    made = await web("POST", PODS, {"metadata": {"name": "web-0"}, **a_pod_of("main")})
    volumes = [*made["spec"]["volumes"], {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]
    answer = await web("PUT", f"{PODS}/web-0", {**made.body, "spec": {**made["spec"], "volumes": volumes}})
    assert answer.code == 422
    assert answer["message"].startswith('Pod "web-0" is invalid: spec: Forbidden: pod updates may not change fields')


def a_pod_of(name: str, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": "app:1"}], **spec}}


async def test_s110_a_taken_name_is_told_although_one_could_be_made(web: Any) -> None:
    body = {"metadata": {"name": "web-0", "generateName": "web-"}, **a_pod_of("main")}
    await web("POST", PODS, body)
    again = await web("POST", PODS, body)
    assert (again.code, again["reason"], again["details"]["retryAfterSeconds"]) == (409, "AlreadyExists", 1)
    assert again["message"] == (
        'pods "web-0" already exists, the server was not able to generate a unique name for the object'
    )


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_s48_a_pod_that_ended_goes_at_once_unless_a_finalizer_holds_it(web: Any, phase: str) -> None:
    for name, finalizers in (("free", []), ("held", ["example.com/held"])):
        metadata = {"name": name, "finalizers": finalizers}
        await web("POST", PODS, {"metadata": metadata, **a_pod_of("main", nodeName="n1")})
        await web("PATCH", f"{PODS}/{name}/status", {"status": {"phase": phase}}, headers=MERGE)
        gone = await web("DELETE", f"{PODS}/{name}")
        assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert [one["metadata"]["name"] for one in (await web("GET", PODS))["items"]] == ["held"]


async def test_s48_a_plain_deletion_asks_no_budget(web: Any) -> None:
    budget = {"metadata": {"name": "b"}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}}}
    await web("POST", "/apis/policy/v1/namespaces/ns/poddisruptionbudgets", budget)
    await web("POST", PODS, {"metadata": {"name": "web-0", "labels": {"app": "web"}}, **a_pod_of("main")})
    assert (await web("DELETE", f"{PODS}/web-0")).code == 200
    assert (await web("GET", f"{PODS}/web-0")).code == 404
