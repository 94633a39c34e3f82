"""What a pod wants becomes an OCI configuration, within what the machine allows (R15-R22)."""

from dataclasses import replace

import pytest

from holdfast.node.runtime import (
    BlockDevice,
    ContainerResources,
    ContainerSpec,
    ImageRecord,
    Mount,
    RuntimeFailure,
    User,
)
from holdfast.node.runtime.oci import spec as oci
from holdfast.node.runtime.oci.containers import container_id, signal_number
from holdfast.node.runtime.oci.machine import capability_names
from holdfast.node.runtime.oci.users import Identity, resolve_user

MACHINE = oci.Machine(
    capabilities=frozenset({*oci.DEFAULT_CAPABILITIES, "CAP_NET_ADMIN", "CAP_SYS_ADMIN"}),
    nofile_hard=20000,
    oom_score_floor=0,
    has_cgroups=True,
    devices=(oci.Device("/dev/fuse", "c", 10, 229, 0o666, 0, 0),),
)
IMAGE = ImageRecord(
    id="sha256:i", references=(), digests=(), size_bytes=0, entrypoint=("/entry",), cmd=("default",), env=("A=image",)
)
SPEC = ContainerSpec(pod_uid="uid", name="c", attempt=0, image="i")
AROUND = oci.Surroundings(
    namespaces={"network": "/ns/net", "pid": "", "mount": ""},
    hostname="web-0",
    shm="/run/shm",
    root="/root/fs",
    root_mounts=(),
    cgroup="/group/uid/c",
)
ROOT = Identity(0, 0, (0,), "/root")


def configured(
    spec: ContainerSpec = SPEC, around: oci.Surroundings = AROUND, machine: oci.Machine = MACHINE, **changes
):
    return oci.configuration(replace(spec, **changes), IMAGE, ROOT, around, machine)


ROOTLESS = replace(MACHINE, is_rootless=True, has_cgroups=False)
ALONE = replace(ROOTLESS, has_many_ids=False)


def configured_as(identity: Identity, machine: oci.Machine, around: oci.Surroundings = AROUND):
    return oci.configuration(SPEC, IMAGE, identity, around, machine)


def mounts(configuration):
    return {mount["destination"]: mount for mount in configuration["mounts"]}


@pytest.mark.parametrize(
    ("command", "args", "runs"),
    [
        ((), (), ["/entry", "default"]),
        ((), ("a",), ["/entry", "a"]),
        (("cmd",), (), ["cmd"]),
        (("cmd",), ("a", "b"), ["cmd", "a", "b"]),
    ],
)
def test_n68_command_and_args_override_the_image_as_in_kubernetes(command, args, runs) -> None:  # N68
    assert configured(command=command, args=args)["process"]["args"] == runs


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(RuntimeFailure, match="no command specified"):
        oci.command_line(SPEC, replace(IMAGE, entrypoint=(), cmd=()))


def test_n150_n159_the_containers_variables_win_and_the_usual_ones_are_there() -> None:
    env = dict(text.split("=", 1) for text in configured(env={"A": "pod", "B": "x=y"}, tty=True)["process"]["env"])
    assert env == {
        "A": "pod",
        "B": "x=y",
        "PATH": oci.DEFAULT_PATH,
        "HOME": "/root",
        "HOSTNAME": "web-0",
        "TERM": "xterm",
    }


def test_n178_n179_capabilities_are_the_usual_ones_changed_by_the_pod_and_held_by_the_machine() -> None:  # N178
    assert oci.capabilities(SPEC, MACHINE) == sorted(oci.DEFAULT_CAPABILITIES)
    changed = replace(SPEC, add_capabilities=("NET_ADMIN", "sys_time"), drop_capabilities=("CAP_CHOWN", "kill"))
    held = oci.capabilities(changed, MACHINE)
    assert "CAP_NET_ADMIN" in held
    assert not {"CAP_SYS_TIME", "CAP_CHOWN", "CAP_KILL"} & set(held)
    only = replace(SPEC, add_capabilities=("NET_BIND_SERVICE",), drop_capabilities=("ALL",))
    assert oci.capabilities(only, MACHINE) == ["CAP_NET_BIND_SERVICE"]
    assert oci.capabilities(replace(SPEC, add_capabilities=("ALL",)), MACHINE) == sorted(MACHINE.capabilities)
    assert oci.capabilities(replace(SPEC, privileged=True), MACHINE) == sorted(MACHINE.capabilities)


def test_n180_limits_of_the_machine_clamp_and_never_fail() -> None:  # R21
    process = configured(resources=ContainerResources(oom_score_adj=-997))["process"]
    assert process["oomScoreAdj"] == 0
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 20000, "soft": 20000}]
    free = replace(MACHINE, nofile_hard=1 << 30, oom_score_floor=-1000)
    process = configured(resources=ContainerResources(oom_score_adj=-997), machine=free)["process"]
    assert process["oomScoreAdj"] == -997
    assert process["rlimits"][0]["hard"] == oci.NOFILE_LIMIT


def test_memory_limits_hold_swap_too() -> None:
    limits = ContainerResources(memory_limit_bytes=1000, cpu_quota_us=10, cpu_shares=1)
    resources = configured(resources=limits)["linux"]["resources"]
    assert resources["memory"] == {"limit": 1000, "swap": 1000}
    assert resources["cpu"] == {"shares": 2, "quota": 1000, "period": 100_000}
    assert "memory" not in configured()["linux"]["resources"]


def test_n141_on_cgroup2_a_container_ends_as_a_whole_when_memory_runs_out() -> None:  # N141
    assert "unified" not in configured()["linux"]["resources"]
    whole = configured(machine=replace(MACHINE, ends_whole_groups=True))
    assert whole["linux"]["resources"]["unified"] == {"memory.oom.group": "1"}


def test_without_cgroups_nothing_is_said_of_them() -> None:
    configuration = configured(machine=replace(MACHINE, has_cgroups=False))
    assert not {"cgroupsPath", "resources"} & set(configuration["linux"])
    assert "/sys/fs/cgroup" not in mounts(configuration)


def test_n180_the_pods_memory_is_shared_and_a_volume_may_take_its_place() -> None:
    assert mounts(configured())["/dev/shm"]["source"] == "/run/shm"
    own = mounts(configured(mounts=(Mount("/volume", "/dev/shm"),)))
    assert own["/dev/shm"]["source"] == "/volume"


def test_volumes_come_after_the_root_and_keep_their_propagation() -> None:
    root_mount = {"destination": "/usr", "type": "overlay", "source": "overlay", "options": ["nodev"]}
    around = replace(AROUND, root_mounts=(root_mount,))
    given = (Mount("/a", "/usr/a", read_only=True), Mount("/b", "/b", propagation="shared"))
    configuration = configured(around=around, mounts=given)
    order = [mount["destination"] for mount in configuration["mounts"]]
    assert order[0] == "/usr"
    assert order[-2:] == ["/usr/a", "/b"]
    assert mounts(configuration)["/usr/a"]["options"] == ["rbind", "rprivate", "ro"]
    assert configuration["linux"]["rootfsPropagation"] == "rshared"
    assert "ro" in mounts(configured(around=around, read_only_root=True))["/usr"]["options"]


def test_block_volumes_are_devices_that_may_be_read_or_written_and_nothing_else() -> None:
    devices = (BlockDevice("/dev/xvda", 7, 3, 0o660, 0, 6), BlockDevice("/data", 8, 16, 0o600, 0, 0, read_only=True))
    linux = configured(devices=devices)["linux"]
    one = {"path": "/dev/xvda", "type": "b", "major": 7, "minor": 3, "fileMode": 0o660, "uid": 0, "gid": 6}
    assert linux["devices"][0] == one
    assert [device["path"] for device in linux["devices"]] == ["/dev/xvda", "/data"]
    assert linux["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "b", "major": 7, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "b", "major": 8, "minor": 16, "access": "r"},
    ]
    assert "devices" not in configured()["linux"]


def test_a_privileged_container_has_its_block_volume_where_it_wants_it() -> None:
    linux = configured(privileged=True, devices=(BlockDevice("/dev/fuse", 7, 3, 0o660, 0, 6),))["linux"]
    assert [(device["path"], device["type"]) for device in linux["devices"]] == [("/dev/fuse", "b")]
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_privileged_means_devices_and_nothing_masked() -> None:
    plain, privileged = configured()["linux"], configured(privileged=True, no_new_privileges=True)
    assert "/proc/kcore" in plain["maskedPaths"]
    assert "/proc/sys" in plain["readonlyPaths"]
    assert (privileged["linux"]["maskedPaths"], privileged["linux"]["readonlyPaths"]) == ([], [])
    assert [device["path"] for device in privileged["linux"]["devices"]] == ["/dev/fuse"]
    assert privileged["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "rw" in mounts(privileged)["/sys"]["options"]
    assert privileged["process"]["noNewPrivileges"] is False


def test_n178_privileged_containers_have_no_seccomp_profile() -> None:
    assert "seccomp" not in configured(seccomp="runtime/default", privileged=True)["linux"]
    assert "seccomp" not in configured()["linux"]
    assert configured(seccomp="runtime/default")["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ALLOW"


def test_n178_the_groups_of_the_image_count_unless_the_pod_says_strict() -> None:
    passwd, group = "app:x:1000:1000::/home/app:/bin/sh", "app:x:1000:\nadm:x:4:app"
    merged = resolve_user(User(uid=1000, supplementary_gids=(7,)), "", passwd, group)
    strict = resolve_user(User(uid=1000, supplementary_gids=(7,), with_groups_of_image=False), "", passwd, group)
    assert merged.supplementary_gids == (1000, 4, 7)
    assert strict.supplementary_gids == (1000, 7)


def test_namespaces_are_joined_by_file_or_new() -> None:
    assert configured()["linux"]["namespaces"] == [
        {"type": "network", "path": "/ns/net"},
        {"type": "pid"},
        {"type": "mount"},
    ]


PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:w:/srv/web:/bin/sh\nbroken\n"
GROUP = "root:x:0:\nweb:x:44:\nextra:x:55:web,other\nmore:x:66:web\n"


@pytest.mark.parametrize(
    ("wanted", "image_user", "identity"),
    [
        (User(), "", Identity(0, 0, (0,), "/root")),
        (User(), "web", Identity(33, 44, (44, 55, 66), "/srv/web")),
        (User(), "web:extra", Identity(33, 55, (55, 66), "/srv/web")),
        (User(), "33", Identity(33, 44, (44, 55, 66), "/srv/web")),
        (User(), "1000:1000", Identity(1000, 1000, (1000,), "/")),
        (User(uid=33), "root", Identity(33, 44, (44, 55, 66), "/srv/web")),
        (User(uid=1000), "web:extra", Identity(1000, 0, (0,), "/")),
        (User(uid=1000, gid=7, supplementary_gids=(8, 7)), "", Identity(1000, 7, (7, 8), "/")),
        (User(gid=7), "web", Identity(33, 7, (7, 55, 66), "/srv/web")),
    ],
)
def test_n69_n178_users_are_the_pods_else_the_images(wanted: User, image_user: str, identity: Identity) -> None:  # N178
    assert resolve_user(wanted, image_user, PASSWD, GROUP) == identity


def test_an_image_without_accounts_still_has_numbers() -> None:
    assert resolve_user(User(), "", "", "") == Identity(0, 0, (0,), "/root")


@pytest.mark.parametrize("image_user", ["nobody-here", "web:no-such-group"])
def test_an_unknown_name_is_refused(image_user: str) -> None:
    with pytest.raises(RuntimeFailure, match="unable to find"):
        resolve_user(User(), image_user, PASSWD, GROUP)


@pytest.mark.parametrize(
    ("name", "number"),
    [("SIGTERM", 15), ("quit", 3), ("SIGWINCH", 28), ("9", 9), ("SIGRTMIN+3", 37), ("", 15), ("SIGNONSENSE", 15)],
)
def test_n69_n133_stop_signals_have_many_spellings(name: str, number: int) -> None:
    assert signal_number(name) == number


def test_a_run_has_the_same_id_each_time_and_no_other_has_it() -> None:
    assert container_id("u", "c", 0) == container_id("u", "c", 0)
    assert len({container_id("u", "c", 0), container_id("u", "c", 1), container_id("u", "d", 0)}) == 3


def test_capability_masks_are_read_bit_by_bit() -> None:
    assert capability_names(0b1) == {"CAP_CHOWN"}
    assert "CAP_SYS_ADMIN" in capability_names(1 << 21)
    assert len(capability_names((1 << 41) - 1)) == 41


def test_r72_where_only_root_is_known_another_user_gets_a_user_namespace_in_which_it_is_the_only_one() -> None:
    configuration = configured_as(Identity(999, 998, (998, 997), "/"), ALONE)
    assert {"type": "user"} in configuration["linux"]["namespaces"]
    assert configuration["linux"]["uidMappings"] == [{"containerID": 999, "hostID": 0, "size": 1}]
    assert configuration["linux"]["gidMappings"] == [{"containerID": 998, "hostID": 0, "size": 1}]
    assert configuration["process"]["user"] == {"uid": 999, "gid": 998, "additionalGids": []}
    assert mounts(configuration)["/sys"]["type"] == "bind"  # the pod's network belongs to another user namespace
    assert not any(option.startswith("gid=") for option in mounts(configuration)["/dev/pts"]["options"])


@pytest.mark.parametrize(
    ("identity", "machine"),
    [(ROOT, ALONE), (Identity(999, 998, (998,), "/"), MACHINE), (Identity(999, 998, (998,), "/"), ROOTLESS)],
)
def test_r72_nobody_else_needs_one(identity, machine) -> None:
    configuration = configured_as(identity, machine)
    assert {"type": "user"} not in configuration["linux"]["namespaces"]
    assert "uidMappings" not in configuration["linux"]
    assert mounts(configuration)["/sys"]["type"] == "sysfs"


def test_without_root_what_is_this_machines_own_is_bound_for_it_cannot_be_mounted_anew() -> None:
    around = replace(AROUND, namespaces={"network": "/ns/net", "mount": ""}, shm="")
    shown = mounts(configured(around=around, machine=ROOTLESS))
    assert (shown["/proc"]["type"], shown["/proc"]["source"]) == ("bind", "/proc")
    assert "/dev/mqueue" not in shown
    as_root = mounts(configured(around=around))
    assert as_root["/proc"]["type"] == "proc"
    assert as_root["/dev/mqueue"]["type"] == "mqueue"


def test_n141_what_is_not_the_users_to_limit_is_left_out() -> None:
    resources = ContainerResources(memory_limit_bytes=64 << 20, cpu_quota_us=50_000, cpu_shares=512)
    delegated = replace(MACHINE, is_rootless=True, ends_whole_groups=True)
    for controllers, limited in ({"memory"}, "memory"), ({"cpu"}, "cpu"):
        machine = replace(delegated, controllers=frozenset(controllers))
        found = configured(machine=machine, resources=resources)["linux"]["resources"]
        assert {"memory", "cpu"} & set(found) == {limited}
        assert ("unified" in found) is (limited == "memory")


def test_r35_without_root_a_container_sees_its_own_groups_only() -> None:
    machine = replace(MACHINE, is_rootless=True, has_many_ids=False)
    nested = configured_as(Identity(999, 999, (), "/"), machine)
    of_node = configured(machine=machine, around=replace(AROUND, host_network=True))
    for configuration in (nested, of_node):
        assert mounts(configuration)["/sys"]["type"] == "bind"
        assert mounts(configuration)["/sys/fs/cgroup"]["type"] == "cgroup"
        assert "ro" in mounts(configuration)["/sys/fs/cgroup"]["options"]
