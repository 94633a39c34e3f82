"""Real kubectls of several versions read the documents: the oldest validates by itself, the newest asks for v3.

Those looked for: `kubectl` on the PATH, `kubectl.1.x` beside it, and the paths in HOLDFAST_TEST_KUBECTLS.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.apiserver.server import ApiServer
from holdfast.wire import http
from holdfast.wire.messages import Answer, Request

pytestmark = pytest.mark.kubectl

Kubectl = Callable[..., Awaitable[str]]

MANIFEST = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, namespace: ns}
spec:
  serviceName: web
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: nginx:1
        ports: [{containerPort: 80, name: web}]
        resources: {limits: {cpu: 0.5, memory: 1Gi}}
        livenessProbe: {httpGet: {port: web}}
      - name: side
        image: busybox:1
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: ns}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80, targetPort: web}]}
"""


def kubectls() -> list[str]:
    """The oldest and the newest there are, and those that were asked for."""
    found = [path for path in os.environ.get("HOLDFAST_TEST_KUBECTLS", "").split(":") if path]
    if default := shutil.which("kubectl"):
        beside = sorted(Path(default).resolve().parent.glob("kubectl.1.*"), key=lambda path: int(path.suffix[1:]))
        found += [str(path) for path in (beside[:1] + beside[-1:])] or [default]
    return list(dict.fromkeys(found))


@pytest.fixture(params=kubectls() or [pytest.param("", marks=pytest.mark.skip("there is no kubectl on the PATH"))])
async def kubectl(
    request: pytest.FixtureRequest, server: ApiServer, admin_token: str, tmp_path: Path
) -> AsyncIterator[Kubectl]:
    def as_admin(request: Request) -> Answer | Awaitable[Answer]:
        """kubectl sends no token without TLS."""
        request.headers["authorization"] = f"Bearer {admin_token}"
        return server.handler(request)

    serving = await http.serve(as_admin, too_large=server.too_large, failed=server.failed)
    config = tmp_path / "kubeconfig"
    config.write_text(
        f'{{"clusters":[{{"name":"c","cluster":{{"server":"http://127.0.0.1:{serving.port}"}}}}],'
        '"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}'
    )

    async def run(*arguments: str, stdin: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            request.param,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"HOME": str(tmp_path), "KUBECONFIG": str(config), "PATH": os.environ["PATH"]},
        )
        output, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
        return output.decode()

    yield run
    await serving.close()


async def test_apply_merges_three_ways_a32_a132(kubectl: Kubectl, server: ApiServer) -> None:
    assert (await kubectl("apply", "-f", "-", stdin=MANIFEST)).splitlines()[-2:] == [
        "statefulset.apps/web created",
        "service/web created",
    ]
    without_side = MANIFEST.replace("      - name: side\n        image: busybox:1\n", "").replace("nginx:1", "nginx:2")
    output = await kubectl("apply", "-f", "-", stdin=without_side)
    assert "statefulset.apps/web configured\nservice/web unchanged" in output
    containers = await kubectl(
        "get", "-n", "ns", "sts", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"
    )
    assert containers.splitlines()[-1] == "nginx:2"


async def test_unknown_fields_are_found_by_whoever_validates_a38(kubectl: Kubectl) -> None:
    output = await kubectl("apply", "-f", "-", stdin=MANIFEST.replace("replicas:", "replicass:"))
    assert re.search(r'unknown field "(spec\.)?replicass"', output), output


async def test_explain_walks_the_types_a37(kubectl: Kubectl) -> None:
    output = await kubectl("explain", "statefulset.spec.template.spec.containers.resources.limits")
    assert "Limits describes the maximum amount of compute resources allowed" in " ".join(output.split()), output
    assert re.search(r"replicas\s+<integer>", await kubectl("explain", "sts.spec"))


async def test_explain_knows_what_is_measured_a277(kubectl: Kubectl) -> None:
    output = await kubectl("explain", "--api-version=metrics.k8s.io/v1beta1", "pods.containers")
    assert "usage" in output, output
    assert "The memory usage is the memory working set." in " ".join(output.split()), output


async def test_server_side_dry_run_is_recognised_a31(kubectl: Kubectl) -> None:
    output = await kubectl("apply", "--dry-run=server", "-f", "-", stdin=MANIFEST)
    assert "statefulset.apps/web created (server dry run)" in output
    assert "NotFound" in await kubectl("get", "-n", "ns", "sts", "web")


async def test_generators_send_what_the_server_reads_a46(kubectl: Kubectl) -> None:
    created = await kubectl("create", "-n", "ns", "configmap", "c", "--from-literal=a=b")
    assert "configmap/c created" in created
    assert "deployment.apps/d created" in await kubectl("create", "-n", "ns", "deployment", "d", "--image=i")
    assert (await kubectl("get", "-n", "ns", "cm", "c", "-o", "jsonpath={.data.a}")).splitlines()[-1] == "b"
