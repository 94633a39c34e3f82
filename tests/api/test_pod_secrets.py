"""Which Secrets a pod draws on."""

from __future__ import annotations

from holdfast.api.core.pod_secrets import secret_names


def test_every_way_to_draw_on_a_secret_is_seen_and_nothing_else():
    spec = {
        "serviceAccountName": "not-this",
        "imagePullSecrets": [{"name": "pull"}],
        "initContainers": [
            {"name": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}]}
        ],
        "containers": [
            {
                "name": "secret",
                "image": "secret",
                "envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "words"}}],
                "env": [{"name": "B", "value": "plain"}],
                "volumeMounts": [{"name": "s", "mountPath": "/s"}],
            }
        ],
        "ephemeralContainers": [{"name": "e", "envFrom": [{"secretRef": {"name": "debug"}}]}],
        "volumes": [
            {"name": "s", "secret": {"secretName": "volume", "items": [{"key": "a", "path": "a"}]}},
            {"name": "p", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "words"}}]}},
            {"name": "c", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "driver"}}},
            {"name": "r", "rbd": {"secretRef": {"name": "ceph"}}},
            {"name": "z", "azureFile": {"secretName": "azure", "shareName": "x"}},
            {"name": "e", "emptyDir": {}},
        ],
    }
    assert secret_names(spec) == {
        "pull", "key", "all", "debug", "volume", "part", "driver", "ceph", "azure",
    }  # fmt: skip


def test_a_pod_without_any_draws_on_none():
    assert secret_names({"containers": [{"name": "main"}]}) == set()
