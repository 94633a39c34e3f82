"""Snapshots of volumes: upstream's custom resources of `snapshot.storage.k8s.io/v1`, built in (V115-V120).

Source: kubernetes-csi/external-snapshotter, client/config/crd and client/apis/volumesnapshot/v1/types.go.
"""

GROUP, VERSION = "snapshot.storage.k8s.io", "v1"
IS_DEFAULT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"
POLICIES = ("Delete", "Retain")
