"""What the demo applies: a headless service and a set whose pods keep a diary on their own volume."""

from __future__ import annotations

from holdfast.api.resource import Manifest

NAME = "demo"
NAMESPACE = "default"

PROGRAM = """\
echo visit >> /data/visits
echo "$(hostname): visit $(wc -l < /data/visits) to my volume"
number=${HOSTNAME##*-}
if [ "$number" -gt 0 ]; then
  peer=demo-$((number - 1)).demo
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    if found=$(getent hosts "$peer"); then set -- $found; echo "$(hostname): $peer is at $1"; break; fi
    sleep 0.2
  done
fi
touch /tmp/ready
trap 'exit 0' TERM
while :; do sleep 3600 & wait $!; done
"""
"""Runs in the `host` image: this machine's own shell and tools."""

SERVICE: Manifest = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": NAME},
    "spec": {"clusterIP": "None", "selector": {"app": NAME}, "ports": [{"name": "web", "port": 80}]},
}

STATEFUL_SET: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": NAME},
    "spec": {
        "serviceName": NAME,
        "replicas": 3,
        "selector": {"matchLabels": {"app": NAME}},
        "template": {
            "metadata": {"labels": {"app": NAME}},
            "spec": {
                "terminationGracePeriodSeconds": 5,
                "containers": [
                    {
                        "name": "diary",
                        "image": "host",
                        "command": ["/bin/sh", "-c", PROGRAM],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        "readinessProbe": {"exec": {"command": ["test", "-f", "/tmp/ready"]}, "periodSeconds": 1},
                    }
                ],
            },
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
            }
        ],
    },
}
