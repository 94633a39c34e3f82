"""The default profile (N178): what it refuses to whom."""

from __future__ import annotations

from holdfast.node.runtime.oci import spec as oci
from holdfast.node.runtime.oci.seccomp import NAMESPACE_FLAGS, NEVER, WITH_CAPABILITY, default_profile


def refused(capabilities) -> set[str]:
    rules = default_profile(capabilities)["syscalls"]
    return {name for rule in rules if "args" not in rule for name in rule["names"]}


def test_n178_with_the_usual_capabilities_the_kernel_is_not_for_containers_to_change():
    calls = refused(oci.DEFAULT_CAPABILITIES)
    assert {"mount", "unshare", "setns", "bpf", "reboot", "kexec_load", "keyctl", "init_module", "clone3"} <= calls
    assert not calls & {"chroot", "ptrace", "open", "clone", "read", "mknod", "personality"}


def test_n178_who_holds_the_capability_may():
    assert not refused({"CAP_SYS_ADMIN"}) & set(WITH_CAPABILITY["CAP_SYS_ADMIN"])
    assert set(NEVER) <= refused(set(WITH_CAPABILITY))
    assert "clone3" not in refused({"CAP_SYS_ADMIN"})


def test_n178_no_namespace_is_made_by_clone_either():
    rules = [rule for rule in default_profile(())["syscalls"] if rule["names"] == ["clone"]]
    assert [rule["args"][0]["value"] for rule in rules] == list(NAMESPACE_FLAGS)
    assert all(rule["args"][0]["op"] == "SCMP_CMP_MASKED_EQ" for rule in rules)
