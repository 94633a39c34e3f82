"""Which requests Kubernetes' own signers sign, and in what words they refuse."""

from __future__ import annotations

import pytest

from holdfast.controllers.certificates.request import Asked, NotReadable, asked
from holdfast.controllers.certificates.rules import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY, refusal

from .asking import request

NODE = ("system:node:n1", ("system:nodes",))
CLIENT_USAGES, SERVING_USAGES = ["digital signature", "client auth"], ["digital signature", "server auth"]


def test_a_request_is_read():
    found = asked(request("jane", ["a", "b"], ["x.example", "192.0.2.1", "fd00::1", "j@example", "spiffe://a/b"]))
    assert found == Asked(
        "jane", ("a", "b"), ("x.example",), ("192.0.2.1", "fd00::1"), ("j@example",), ("spiffe://a/b",)
    )


def test_what_is_no_request_is_not_read():
    with pytest.raises(NotReadable):
        asked({"spec": {"request": "bm9uc2Vuc2U="}})


@pytest.mark.parametrize(
    ("usages", "words"),
    [
        (["client auth"], ""),
        (["client auth", "digital signature", "key encipherment"], ""),
        (["digital signature"], "missing required usage for client certificate: client auth"),
        (["client auth", "server auth"], "invalid usage for client certificate: server auth"),
    ],
)
def test_certificates_of_clients_are_for_clients(usages, words):
    assert refusal(CLIENT, asked(request("jane", ["devs"], ["x.example"])), usages) == words


@pytest.mark.parametrize(
    ("subject", "names", "usages", "words"),
    [
        (NODE, (), CLIENT_USAGES, ""),
        (NODE, (), [*CLIENT_USAGES, "key encipherment"], ""),
        (("system:node:n1", ()), (), CLIENT_USAGES, "subject organization is not system:nodes"),
        (("system:node:n1", ("system:nodes", "x")), (), CLIENT_USAGES, "subject organization is not system:nodes"),
        (NODE, ("n1",), CLIENT_USAGES, "DNS subjectAltNames are not allowed"),
        (NODE, ("a@b",), CLIENT_USAGES, "Email subjectAltNames are not allowed"),
        (NODE, ("192.0.2.1",), CLIENT_USAGES, "IP subjectAltNames are not allowed"),
        (NODE, ("http://a",), CLIENT_USAGES, "URI subjectAltNames are not allowed"),
        (("n1", ("system:nodes",)), (), CLIENT_USAGES, "subject common name does not begin with system:node:"),
        (NODE, (), ["client auth"], "usages did not match [client auth digital signature key encipherment]"),
        (NODE, (), SERVING_USAGES, "usages did not match [client auth digital signature key encipherment]"),
    ],
)
def test_a_kubelets_client_certificate_is_a_nodes_and_nothing_else(subject, names, usages, words):
    assert refusal(KUBELET_CLIENT, asked(request(*subject, names)), usages) == words


@pytest.mark.parametrize(
    ("subject", "names", "usages", "words"),
    [
        (NODE, ("n1",), SERVING_USAGES, ""),
        (NODE, ("192.0.2.1",), [*SERVING_USAGES, "key encipherment"], ""),
        (("system:node:n1", ("x",)), ("n1",), SERVING_USAGES, "subject organization is not system:nodes"),
        (NODE, (), SERVING_USAGES, "DNS or IP subjectAltName is required"),
        (NODE, ("n1", "a@b"), SERVING_USAGES, "Email subjectAltNames are not allowed"),
        (NODE, ("n1", "http://a"), SERVING_USAGES, "URI subjectAltNames are not allowed"),
        (NODE, ("n1",), CLIENT_USAGES, "usages did not match [digital signature key encipherment server auth]"),
        (("n1", ("system:nodes",)), ("n1",), SERVING_USAGES, "subject common name does not begin with system:node:"),
    ],
)
def test_a_kubelets_serving_certificate_has_names(subject, names, usages, words):
    assert refusal(KUBELET_SERVING, asked(request(*subject, names)), usages) == words


def test_the_legacy_signer_refuses_nothing():
    assert refusal(LEGACY, asked(request("anybody", ["anything"], ["any.where"])), ["any"]) == ""
