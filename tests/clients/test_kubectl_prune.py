"""kubectl apply removes what is no longer among the manifests, found by label or by the set it was applied with."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.kubectl


def manifests(*names):
    """Config maps, and a service if "service" is among the names."""
    made = [
        {"kind": "Service", "spec": {"ports": [{"port": 80}]}} if name == "service" else {"kind": "ConfigMap"}
        for name in names
    ]
    metadata = [{"name": name, "labels": {"app": "web"}} for name in names]
    items = [{"apiVersion": "v1", "metadata": one, **kind} for one, kind in zip(metadata, made, strict=True)]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def left(kubectl):
    return kubectl("get", "cm,svc", "-l", "app=web", "-o", "name").split()


PRUNE = ("apply", "--prune", "-l", "app=web", "-f", "-")
KINDS = ("--prune-allowlist=core/v1/ConfigMap", "--prune-allowlist=core/v1/Service")


def in_any_order(output):
    """kubectl goes through kinds in an order that its own map has by chance."""
    return sorted(output.splitlines())


def test_what_has_the_label_and_is_not_applied_any_more_goes(kubectl):
    kubectl.since(26, "--prune-allowlist")
    done = kubectl(*PRUNE, *KINDS, manifest=manifests("a", "b", "service"))
    assert done == "configmap/a created\nconfigmap/b created\nservice/service created\n"
    kubectl("create", "configmap", "by-hand")
    kubectl("label", "configmap", "by-hand", "app=web")
    trial = kubectl(*PRUNE, *KINDS, "--dry-run=server", manifest=manifests("a"))
    assert in_any_order(trial) == [
        "configmap/a unchanged (server dry run)",
        "configmap/b pruned (server dry run)",
        "service/service pruned (server dry run)",
    ]
    assert left(kubectl) == ["configmap/a", "configmap/b", "configmap/by-hand", "service/service"]
    assert kubectl(*PRUNE, *KINDS[:1], manifest=manifests("a")) == "configmap/a unchanged\nconfigmap/b pruned\n"
    assert kubectl(*PRUNE, *KINDS, manifest=manifests("a")) == "configmap/a unchanged\nservice/service pruned\n"
    assert left(kubectl) == ["configmap/a", "configmap/by-hand"]


def test_all_kinds_are_searched_when_none_is_named(kubectl):
    """The list of kinds is kubectl's own: one that the server does not know is an error."""
    kubectl.since(26, "the list of kinds of today")
    kubectl(*PRUNE, manifest=manifests("a", "b", "service"))
    assert in_any_order(kubectl(*PRUNE, manifest=manifests("a"))) == [
        "configmap/a unchanged",
        "configmap/b pruned",
        "service/service pruned",
    ]


@pytest.mark.parametrize("parent", ["secret", "configmap"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_set_remembers_what_was_applied_with_it(kubectl, monkeypatch, parent, side):
    kubectl.since(27, "sets")
    monkeypatch.setenv("KUBECTL_APPLYSET", "true")
    server = side == "server"
    apply = ("apply", "--prune", f"--applyset={parent}s/parent", f"--server-side={str(server).lower()}", "-f", "-")
    first = "serverside-applied" if server else "created"
    assert kubectl(*apply, manifest=manifests("a", "b", "service")) == (
        f"configmap/a {first}\nconfigmap/b {first}\nservice/service {first}\n"
    )
    again = "serverside-applied" if server else "unchanged"
    assert sorted(kubectl(*apply, manifest=manifests("a")).splitlines()) == [
        f"configmap/a {again}",
        "configmap/b pruned",
        "service/service pruned",
    ]
    assert left(kubectl) == ["configmap/a"]
    annotation, content = ("kinds", "ConfigMap") if kubectl.minor >= 29 else ("resources", "configmaps")
    noted = rf"jsonpath={{.metadata.annotations.applyset\.kubernetes\.io/contains-group-{annotation}}}"
    assert kubectl("get", f"{parent}/parent", "-o", noted) == content
    identity = kubectl("get", f"{parent}/parent", "-o", r"jsonpath={.metadata.labels.applyset\.kubernetes\.io/id}")
    part_of = ("get", "cm", "-l", f"applyset.kubernetes.io/part-of={identity}", "-o", "name")
    assert kubectl(*part_of) == "configmap/a\n"


MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\ndata:\n  a: {}\n"


def test_a_directory_of_kustomize_is_applied_compared_and_deleted(kubectl, tmp_path):
    (tmp_path / "kustomization.yaml").write_text(
        "namePrefix: k-\ncommonLabels: {team: a}\nresources: [map.yaml]\n"
        "secretGenerator: [{name: s, literals: [a=b]}]\n"
    )
    (tmp_path / "map.yaml").write_text(MAP.format("b"))
    directory = str(tmp_path)
    assert "name: k-m" in kubectl("kustomize", directory)
    names = kubectl("apply", "-k", directory, "-o", "name").split()
    assert [name[:11] for name in names] == ["configmap/k", "secret/k-s-"]
    assert kubectl("apply", "-k", directory) == f"{names[0]} unchanged\n{names[1]} unchanged\n"
    assert kubectl("get", "cm", "k-m", "-o", "jsonpath={.metadata.labels.team}") == "a"
    assert kubectl("diff", "-k", directory) == ""
    (tmp_path / "map.yaml").write_text(MAP.format("c"))
    differs = kubectl("diff", "-k", directory, check=False)
    assert (differs.returncode, "+  a: c" in differs.stdout) == (1, True)
    assert kubectl("delete", "-k", directory).count(" deleted") == 2
