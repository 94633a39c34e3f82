"""The service that leads to the server itself comes back, whoever deletes it (D19)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import until

CORE = "/api/v1/namespaces/default"
SERVICE = f"{CORE}/services/kubernetes"
ALL = (
    SERVICE,
    f"{CORE}/endpoints/kubernetes",
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
)


@pytest.mark.parametrize("target", ALL)
async def test_d19_what_is_deleted_is_made_anew_as_it_was(web: Any, target: str) -> None:
    before = await web("GET", target)
    await web("DELETE", target)

    async def is_back() -> bool:
        found = await web("GET", target)
        return bool(found.code == 200 and found["metadata"]["uid"] != before["metadata"]["uid"])

    await until(is_back)
    after = await web("GET", target)
    for part in ("spec", "subsets", "endpoints", "ports"):
        assert after.body.get(part) == before.body.get(part)


async def test_d19_a_name_that_somebody_else_deletes_elsewhere_is_not_taken_for_it(web: Any) -> None:
    body = {"metadata": {"name": "kubernetes"}, "spec": {"ports": [{"port": 80}]}}
    made = await web("POST", "/api/v1/namespaces/ns/services", body)
    assert made.code == 201
    version = (await web("GET", SERVICE))["metadata"]["resourceVersion"]
    await web("DELETE", "/api/v1/namespaces/ns/services/kubernetes")
    assert (await web("GET", "/api/v1/namespaces/ns/services/kubernetes")).code == 404
    assert (await web("GET", SERVICE))["metadata"]["resourceVersion"] == version
