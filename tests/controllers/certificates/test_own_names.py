"""Which serving certificates a node gets without anybody's looking at them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from holdfast.controllers.certificates.own_names import ObservedServing, foreign, plan_serving
from holdfast.controllers.certificates.request import asked
from holdfast.controllers.certificates.rules import KUBELET_SERVING

from .asking import request

RESERVED = [ip_network("10.96.0.0/16"), ip_network("10.244.0.0/16"), ip_network("192.0.2.10")]
OTHERS = {"192.0.2.20": "n2"}


def observed(names, own=(), username="system:node:n1", groups=("system:nodes",), common_name="system:node:n1", **spec):
    made = request(
        common_name,
        ["system:nodes"],
        names,
        signerName=KUBELET_SERVING,
        username=username,
        groups=[*groups],
        **{"usages": ["digital signature", "server auth"], **spec},
    )
    return ObservedServing(made, asked(made), own, OTHERS, RESERVED)


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["n1"], ()),
        (["n1", "192.0.2.30"], ()),
        (["n1", "192.0.2.30"], ("192.0.2.30", "192.0.2.31")),
        (["192.0.2.30", "fd00::30"], ("fd00::30", "192.0.2.30")),
    ],
)
def test_a_nodes_own_name_and_addresses_are_approved(names, own):
    (action,) = plan_serving(observed(names, own)).actions
    assert action.subresource == "approval"
    assert action.manifest["status"]["conditions"][0]["reason"] == "AutoApproved"


@pytest.mark.parametrize(
    ("names", "own", "problem"),
    [
        (["n2"], (), "n2 is not the node's name"),
        (["kubernetes.default"], (), "kubernetes.default is not the node's name"),
        (["n1", "127.0.0.1"], (), "127.0.0.1 is no address of one machine alone"),
        (["n1", "::1"], (), "::1 is no address of one machine alone"),
        (["n1", "10.96.0.1"], (), "10.96.0.1 is the cluster's own"),
        (["n1", "10.244.3.4"], (), "10.244.3.4 is the cluster's own"),
        (["n1", "192.0.2.10"], (), "192.0.2.10 is the cluster's own"),
        (["n1", "192.0.2.20"], (), "192.0.2.20 is an address of the node n2"),
        (["n1", "192.0.2.20"], ("192.0.2.20",), "192.0.2.20 is an address of the node n2"),
        (["n1", "192.0.2.31"], ("192.0.2.30",), "192.0.2.31 is no address of the node"),
    ],
)
def test_what_may_be_somebody_elses_waits_and_says_why(names, own, problem):
    (action,) = plan_serving(observed(names, own)).actions
    assert (action.report.type, action.report.reason) == ("Warning", "NotApproved")
    assert action.report.message == f"{problem}: kubectl certificate approve r, if it is right all the same"


@pytest.mark.parametrize(
    "who",
    [
        {"username": "system:node:n2"},
        {"username": "jane"},
        {"groups": ("devs",)},
    ],
)
def test_a_node_asks_for_itself(who):
    assert foreign(observed(["n1"], **who)) == "system:node:n1 has not asked for it itself"


def test_what_the_signer_would_refuse_is_not_approved():
    assert foreign(observed(["n1"], usages=["client auth"])).startswith("usages did not match")
