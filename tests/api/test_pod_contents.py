"""Which Secrets and ConfigMaps a pod draws on."""

from __future__ import annotations

from holdfast.api.core.pod_contents import config_map_names, secret_names

SPEC = {
    "serviceAccountName": "not-this",
    "imagePullSecrets": [{"name": "pull"}],
    "initContainers": [
        {
            "name": "i",
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "word", "key": "k"}}},
            ],
        }
    ],
    "containers": [
        {
            "name": "secret",
            "image": "secret",
            "envFrom": [{"secretRef": {"name": "all"}}, {"prefix": "W_", "configMapRef": {"name": "words"}}],
            "env": [{"name": "B", "value": "plain"}, {"name": "configMap", "value": "plain"}],
            "volumeMounts": [{"name": "s", "mountPath": "/s"}],
        }
    ],
    "ephemeralContainers": [
        {"name": "e", "envFrom": [{"secretRef": {"name": "debug"}}, {"configMapRef": {"name": "debugging"}}]}
    ],
    "volumes": [
        {"name": "s", "secret": {"secretName": "volume", "items": [{"key": "a", "path": "a"}]}},
        {"name": "m", "configMap": {"name": "page", "items": [{"key": "a", "path": "name"}]}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "authority"}}]}},
        {"name": "c", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "driver"}}},
        {"name": "r", "rbd": {"secretRef": {"name": "ceph"}}},
        {"name": "z", "azureFile": {"secretName": "azure", "shareName": "x"}},
        {"name": "e", "emptyDir": {}},
    ],
}  # fmt: skip


def test_every_way_to_draw_on_a_secret_is_seen_and_nothing_else():
    assert secret_names(SPEC) == {
        "pull", "key", "all", "debug", "volume", "part", "driver", "ceph", "azure",
    }  # fmt: skip


def test_every_way_to_draw_on_a_config_map_is_seen_and_nothing_else():
    assert config_map_names(SPEC) == {"word", "words", "debugging", "page", "authority"}


def test_a_pod_without_any_draws_on_none():
    spec = {"containers": [{"name": "main"}]}
    assert secret_names(spec) == set() == config_map_names(spec)
