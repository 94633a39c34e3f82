"""Which requests each of Kubernetes' own signers signs (A232).

Source: Kubernetes, pkg/apis/certificates/helpers.go, pkg/controller/certificates/signer/signer.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from .request import Asked

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"

NODES, NODE = "system:nodes", "system:node:"

_SERVING_USAGES = ("digital signature", "key encipherment", "server auth")
_CLIENT_USAGES = ("client auth", "digital signature", "key encipherment")


def refusal(signer: str, asked: Asked, usages: Collection[str]) -> str:
    """Why the signer does not sign it, in upstream's words; empty if it does. `signer` is one of `SIGNERS`."""
    return SIGNERS[signer](asked, usages)


def of_client(asked: Asked, usages: Collection[str]) -> str:
    """Any subject, any name, but only to prove who a client is. Masters were refused when they asked (A233)."""
    for usage in usages:
        if usage not in _CLIENT_USAGES:
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def of_kubelet_client(asked: Asked, usages: Collection[str]) -> str:
    """A node and nothing but a node."""
    if asked.organizations != (NODES,):
        return "subject organization is not system:nodes"
    for names, sort in ((asked.dns_names, "DNS"), (asked.emails, "Email"), (asked.ip_addresses, "IP")):
        if names:
            return f"{sort} subjectAltNames are not allowed"
    if asked.uris:
        return "URI subjectAltNames are not allowed"
    if not asked.common_name.startswith(NODE):
        return "subject common name does not begin with system:node:"
    return _usages(usages, _CLIENT_USAGES)


def of_kubelet_serving(asked: Asked, usages: Collection[str]) -> str:
    """A node under names or addresses. Whether they are its own is for whoever approves."""
    if asked.organizations != (NODES,):
        return "subject organization is not system:nodes"
    if not asked.dns_names and not asked.ip_addresses:
        return "DNS or IP subjectAltName is required"
    if asked.emails:
        return "Email subjectAltNames are not allowed"
    if asked.uris:
        return "URI subjectAltNames are not allowed"
    if problem := _usages(usages, _SERVING_USAGES):
        return problem
    return "" if asked.common_name.startswith(NODE) else "subject common name does not begin with system:node:"


def _usages(given: Collection[str], required: tuple[str, ...]) -> str:
    """Exactly those; only keys that can encipher ask for that, so it may be left out."""
    enough = {usage for usage in required if usage != "key encipherment"}
    if {*given} in ({*required}, enough):
        return ""
    return f"usages did not match [{' '.join(required)}]"


SIGNERS: Mapping[str, Callable[[Asked, Collection[str]], str]] = {
    CLIENT: of_client,
    KUBELET_CLIENT: of_kubelet_client,
    KUBELET_SERVING: of_kubelet_serving,
    LEGACY: lambda asked, usages: "",
}
"""The signers that the cluster has, with what each refuses."""
