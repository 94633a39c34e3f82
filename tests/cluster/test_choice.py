"""What runs the containers, and whether as root: decided by what was tried."""

import pytest

from holdfast.cluster.choice import CannotRun, decide
from holdfast.cluster.settings import Settings
from holdfast.node.capabilities import Capabilities, Capability

CRUN = Capability("crun", True, "starts containers", required=True)
NO_NAMESPACES = Capability("namespaces", False, "separates", "Operation not permitted", "run as root", required=True)
AS_ROOT = Capabilities((CRUN,))
ROOTLESS = Capabilities((CRUN,), is_rootless=True)
NOTHING = Capabilities((CRUN, NO_NAMESPACES))


def chosen(settings, found=AS_ROOT, *, in_use=False):
    decided = decide(settings, in_use=in_use, probe=lambda: found)
    return decided.driver, decided.is_rootless


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ("auto", AS_ROOT, ("oci", False)),
        ("auto", ROOTLESS, ("oci", True)),
        ("auto", NOTHING, ("process", False)),
        ("oci", ROOTLESS, ("oci", True)),
        ("process", ROOTLESS, ("process", False)),
        ("simulated", ROOTLESS, ("simulated", False)),
    ],
)
def test_r172_the_driver_follows_from_what_the_machine_can_do(wanted, found, expected):
    assert chosen(Settings(runtime=wanted), found) == expected


def test_who_insists_on_real_containers_is_told_what_they_lack():
    with pytest.raises(CannotRun) as refusal:
        chosen(Settings(runtime="oci"), NOTHING)
    assert str(refusal.value) == ("real containers cannot run here: namespaces (Operation not permitted): run as root")


def test_pods_that_run_keep_their_driver_whatever_the_machine_has_learnt():
    last = Settings(chosen="process")
    assert chosen(last, AS_ROOT, in_use=True) == ("process", False)
    assert chosen(last, AS_ROOT) == ("oci", False)
    assert chosen(last.changed(runtime="oci"), ROOTLESS, in_use=True) == ("oci", True)


def test_without_nodes_nothing_is_tried():
    def never():
        raise AssertionError

    assert decide(Settings(nodes=0), in_use=False, probe=never).driver == "process"
