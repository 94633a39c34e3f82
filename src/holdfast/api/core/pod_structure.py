"""The pod spec as upstream's refusals print it."""

from __future__ import annotations

from holdfast.api.resource import Manifest
from holdfast.api.structure import Member, Shape, difference, fields, flags, texts

RESOURCES = Shape(fields("limits", "requests", "claims"))
_VOLUME = Shape(
    texts("name")
    + fields("hostPath", "emptyDir")
    + (Member("GCEPersistentDisk", "gcePersistentDisk"), Member("AWSElasticBlockStore", "awsElasticBlockStore"))
    + fields("gitRepo", "secret", "nfs")
    + (Member("ISCSI", "iscsi"),)
    + fields("glusterfs", "persistentVolumeClaim")
    + (Member("RBD", "rbd"),)
    + fields("quobyte", "flexVolume", "cinder")
    + (Member("CephFS", "cephfs"),)
    + fields("flocker", "downwardAPI", "fc", "azureFile", "configMap", "vsphereVolume", "azureDisk")
    + fields("photonPersistentDisk", "projected", "portworxVolume", "scaleIO")
    + (Member("StorageOS", "storageos"),)
    + fields("csi", "ephemeral", "image")
)
_PORT = Shape(
    (
        *texts("name"),
        Member("HostPort", "hostPort", 0),
        Member("ContainerPort", "containerPort", 0),
        *texts("protocol", "hostIP"),
    )
)
_VALUE_FROM = Shape(fields("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"))
_VARIABLE = Shape((*texts("name", "value"), Member("ValueFrom", "valueFrom", shape=_VALUE_FROM)))
_MOUNT = Shape(
    texts("name")
    + flags("readOnly")
    + fields("recursiveReadOnly")
    + texts("mountPath", "subPath")
    + fields("mountPropagation")
    + texts("subPathExpr")
)
CONTAINER_SECURITY_CONTEXT = Shape(
    fields("capabilities", "privileged", "seLinuxOptions", "windowsOptions", "runAsUser", "runAsGroup", "runAsNonRoot")
    + fields("readOnlyRootFilesystem", "allowPrivilegeEscalation", "procMount", "seccompProfile", "appArmorProfile")
)
_CONTAINER = Shape(
    texts("name", "image")
    + fields("command", "args")
    + texts("workingDir")
    + (Member("Ports", "ports", shape=_PORT),)
    + fields("envFrom")
    + (Member("Env", "env", shape=_VARIABLE), Member("Resources", "resources", shape=RESOURCES, is_pointer=False))
    + fields("resizePolicy", "restartPolicy", "restartPolicyRules")
    + (Member("VolumeMounts", "volumeMounts", shape=_MOUNT),)
    + fields("volumeDevices", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
    + texts("terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy")
    + (Member("SecurityContext", "securityContext", shape=CONTAINER_SECURITY_CONTEXT),)
    + flags("stdin", "stdinOnce", "tty")
)
_OF_THE_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
_SECURITY_CONTEXT = Shape(
    flags(*_OF_THE_HOST[:3])
    + fields(*_OF_THE_HOST[3:])
    + fields("seLinuxOptions", "windowsOptions", "runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups")
    + fields("supplementalGroupsPolicy", "fsGroup", "fsGroupChangePolicy", "sysctls", "seccompProfile")
    + fields("appArmorProfile", "seLinuxChangePolicy")
)
_TOLERATION = Shape(texts("key", "operator", "value", "effect") + fields("tolerationSeconds"))
_POD_SPEC = Shape(
    (
        Member("Volumes", "volumes", shape=_VOLUME),
        Member("InitContainers", "initContainers", shape=_CONTAINER),
        Member("Containers", "containers", shape=_CONTAINER),
        *fields("ephemeralContainers"),
        *texts("restartPolicy"),
        *fields("terminationGracePeriodSeconds", "activeDeadlineSeconds"),
        *texts("dnsPolicy"),
        *fields("nodeSelector"),
        *texts("serviceAccountName"),
        *fields("automountServiceAccountToken"),
        *texts("nodeName"),
        Member("SecurityContext", "securityContext", shape=_SECURITY_CONTEXT),
        *fields("imagePullSecrets"),
        *texts("hostname", "subdomain"),
        *fields("setHostnameAsFQDN", "affinity"),
        *texts("schedulerName"),
        Member("Tolerations", "tolerations", shape=_TOLERATION),
        *fields("hostAliases"),
        *texts("priorityClassName"),
        *fields("priority", "preemptionPolicy", "dnsConfig", "readinessGates", "runtimeClassName", "overhead"),
        *fields("enableServiceLinks", "topologySpreadConstraints", "os", "schedulingGates", "resourceClaims"),
        *fields("resources", "hostnameOverride", "schedulingGroup"),
    )
)


def pod_spec_difference(old: Manifest, new: Manifest) -> str:
    """What changed in a pod's spec, as a refusal shows it."""
    return difference(_POD_SPEC, _internal(old), _internal(new))


def pod_spec_structure(spec: Manifest) -> Manifest:
    """The whole spec as messages show it."""
    return _POD_SPEC.render(_internal(spec))


def _internal(spec: Manifest) -> Manifest:
    """Upstream keeps what concerns the host in the security context."""
    of_the_host = {name: spec[name] for name in _OF_THE_HOST if name in spec}
    return {**spec, "securityContext": {**spec.get("securityContext", {}), **of_the_host}}
