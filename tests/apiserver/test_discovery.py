"""What is served, in both forms (A15-A25)."""

from __future__ import annotations

from typing import Any

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def test_the_versions_of_the_core_group_name_the_servers_address(web: Any) -> None:
    answer = await web("GET", "/api")
    assert answer.body == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "192.0.2.1:6443"}],
    }


MEASURED = "metrics.k8s.io"
"""Answered by nodes, and there are none here."""


async def test_what_is_listed_is_served(web: Any) -> None:
    """A22."""
    groups = (await web("GET", "/apis"))["groups"]
    assert groups[0]["name"] == "apps"
    for group in groups:
        for version in group["versions"]:
            listed = await web("GET", f"/apis/{version['groupVersion']}")
            assert listed.code == 200
            for resource in listed["resources"]:
                if "/" not in resource["name"] and "list" in resource["verbs"] and group["name"] != MEASURED:
                    path = f"/apis/{version['groupVersion']}/{resource['name']}"
                    assert (await web("GET", path)).code == 200, path


async def test_the_root_lists_every_path_that_says_more(web: Any) -> None:
    paths = (await web("GET", "/"))["paths"]
    assert paths == sorted(paths)
    groups = (await web("GET", "/apis"))["groups"]
    named = {f"/apis/{group['name']}" for group in groups}
    versions = {f"/apis/{one['groupVersion']}" for group in groups for one in group["versions"]}
    checks = {f"/{endpoint}/{check}" for endpoint in ("healthz", "livez", "readyz") for check in ("etcd", "ping")}
    assert {*paths} >= {"/api", "/api/v1", "/apis", "/apis/", "/metrics", "/version"} | named | versions | checks
    for path in paths:
        assert (await web("GET", path)).code == 200, path


async def test_an_entry_has_what_clients_act_on(web: Any) -> None:
    resources = {one["name"]: one for one in (await web("GET", "/apis/apps/v1"))["resources"]}
    entry = resources["statefulsets"]
    entry.pop("storageVersionHash")
    assert entry == {
        "name": "statefulsets",
        "singularName": "statefulset",
        "namespaced": True,
        "kind": "StatefulSet",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["sts"],
        "categories": ["all"],
    }
    scale = resources["statefulsets/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


async def test_both_forms_list_the_same(web: Any) -> None:
    aggregated = await web("GET", "/apis", headers={"accept": V2})
    assert aggregated.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    for group in aggregated["items"]:
        for version in group["versions"]:
            plain = await web("GET", f"/apis/{group['metadata']['name']}/{version['version']}")
            names = [one["name"] for one in plain["resources"] if "/" not in one["name"]]
            assert [one["resource"] for one in version["resources"]] == names


async def test_an_unchanged_document_is_not_sent_again(web: Any) -> None:
    """A20."""
    first = await web("GET", "/api", headers={"accept": V2})
    (tag,) = first.headers["ETag"]
    again = await web("GET", "/api", headers={"accept": V2, "if-none-match": tag})
    assert (again.code, again.body) == (304, "")


async def test_the_older_aggregated_form_differs_in_its_version_only(web: Any) -> None:
    new, old = [await web("GET", "/apis", headers={"accept": V2.replace("v=v2", f"v={v}")}) for v in ("v2", "v2beta1")]
    assert old["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    assert old["items"] == new["items"]


async def test_a27_health_says_more_when_asked(web: Any, server: Any) -> None:
    assert (await web("GET", "/readyz")).body == "ok"
    verbose = await web("GET", "/readyz?verbose")
    assert verbose.body == "[+]ping ok\n[+]etcd ok\nreadyz check passed\n"
    server.checks["broken"] = lambda: False
    failing = await web("GET", "/readyz")
    assert failing.code == 500
    assert failing.body == "[+]ping ok\n[+]etcd ok\n[-]broken failed: reason withheld\nreadyz check failed\n"
    assert (await web("GET", "/readyz?exclude=broken")).code == 200
    assert (await web("GET", "/readyz/nothing")).code == 404


async def test_a27_a_check_that_is_excluded_keeps_its_place_and_one_that_is_not_there_is_told_of(web: Any) -> None:
    told = await web("GET", "/livez?verbose&exclude=ping&exclude=nothing&exclude=log")
    unknown = 'warn: some health checks cannot be excluded: no matches for "log","nothing"'
    assert told.body == f"[+]ping excluded: ok\n[+]etcd ok\n{unknown}\nlivez check passed\n"
    assert (await web("GET", "/livez?exclude=nothing")).body == "ok"


async def test_a27_one_check_has_a_page_of_its_own(web: Any, server: Any) -> None:
    server.checks["broken"] = lambda: False
    assert (await web("GET", "/livez/etcd?verbose")).body == "ok"
    failing = await web("GET", "/livez/broken")
    assert (failing.code, failing.body) == (500, "internal server error: reason withheld\n")


async def test_the_version_is_kubernetes_with_a_mark(web: Any) -> None:
    version = await web("GET", "/version")
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "36", "v1.36.2+holdfast")
