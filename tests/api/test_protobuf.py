import pytest

from holdfast.api import decode
from holdfast.api.errors import ApiError
from holdfast.api.protobuf import MalformedProtobuf, decode_message
from holdfast.api.resource import Resource

PROTOBUF = "application/vnd.kubernetes.protobuf"
CONFIG_MAPS = Resource(group="", version="v1", kind="ConfigMap", plural="configmaps")

CONFIG_MAP = bytes.fromhex(
    "6b3873000a0f0a0276311209436f6e6669674d6170121d0a130a036c697412001a0022002a0032003800420012060a01611201621a002200"
)
QUOTA = bytes.fromhex(
    "6b3873000a130a027631120d5265736f7572636551756f746112270a110a017112001a0022002a00320038004200"
    "12100a0e0a0363707512070a05313530306d1a001a002200"
)
DEPLOYMENT = bytes.fromhex(
    "6b3873000a150a07617070732f7631120a4465706c6f796d656e74129b010a1b0a017a12001a0022002a003200380042005a080a0361707012"
    "017a126e0800120a0a080a0361707012017a1a560a1a0a0012001a0022002a003200380042005a080a0361707012017a1238121a0a0169"
    "1201692a0042006a007200800100880100900100a201001a00320042004a0052005800600068008201008a01009a0100c2010022020a00"
    "280038001a0c0800100018002000280038001a002200"
)


def test_a_config_map_of_kubectl_a337() -> None:
    assert decode.decode_body(CONFIG_MAPS, CONFIG_MAP, PROTOBUF, "Strict") == (
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "lit"}, "data": {"a": "b"}},
        [],
    )


def test_a_quota_of_kubectl_a338() -> None:
    quotas = Resource(group="", version="v1", kind="ResourceQuota", plural="resourcequotas")
    manifest, _ = decode.decode_body(quotas, QUOTA, PROTOBUF)
    assert manifest == {
        "kind": "ResourceQuota",
        "apiVersion": "v1",
        "metadata": {"name": "q"},
        "spec": {"hard": {"cpu": "1500m"}},
    }


def test_pointers_to_zero_are_kept_a339() -> None:
    deployments = Resource(group="apps", version="v1", kind="Deployment", plural="deployments")
    manifest, _ = decode.decode_body(deployments, DEPLOYMENT, PROTOBUF)
    assert manifest["spec"]["replicas"] == 0
    assert "minReadySeconds" not in manifest["spec"]
    assert "paused" not in manifest["spec"]
    assert manifest["spec"]["template"]["spec"]["containers"] == [{"name": "i", "image": "i"}]
    assert manifest["spec"]["selector"] == {"matchLabels": {"app": "z"}}


def field(number: int, value: bytes | int) -> bytes:
    return bytes([number << 3, value]) if isinstance(value, int) else bytes([number << 3 | 2, len(value)]) + value


def test_special_messages_a48() -> None:
    minus_one = bytes([2 << 3]) + b"\xff" * 9 + b"\x01"
    toleration = field(1, b"k") + bytes([5 << 3]) + b"\xff" * 9 + b"\x01"
    assert decode_message("core.v1.Toleration", toleration) == {"key": "k", "tolerationSeconds": -1}
    lease = field(3, field(1, 1) + bytes([2 << 3]) + b"\xe8\x07")
    assert decode_message("coordination.v1.LeaseSpec", lease) == {"acquireTime": "1970-01-01T00:00:01.000001Z"}
    named = field(1, b"p") + field(3, 80) + field(4, field(1, 1) + field(3, b"web"))
    assert decode_message("core.v1.ServicePort", named) == {"name": "p", "port": 80, "targetPort": "web"}
    assert decode_message("core.v1.ServicePort", field(4, field(1, 0) + minus_one))["targetPort"] == -1
    revision = field(2, field(1, b'{"a":[1]}')) + field(3, 7)
    assert decode_message("apps.v1.ControllerRevision", revision) == {"data": {"a": [1]}, "revision": 7}
    secret = field(2, field(1, b"k") + field(2, b"\x00\xff"))
    assert decode_message("core.v1.Secret", secret) == {"data": {"k": "AP8="}}
    volume = field(1, b"v") + field(2, field(2, field(1, b"Memory")))
    assert decode_message("core.v1.Volume", volume) == {"name": "v", "emptyDir": {"medium": "Memory"}}


def test_delete_options_under_another_group_a48() -> None:
    options = field(1, 0) + field(4, b"Background")
    body = b"k8s\x00" + field(1, field(1, b"apps/v1") + field(2, b"DeleteOptions")) + field(2, options)
    decoded = decode.decode_options(body, PROTOBUF)
    assert (decoded["gracePeriodSeconds"], decoded["propagationPolicy"]) == (0, "Background")


@pytest.mark.parametrize("cut", range(0, len(CONFIG_MAP), 3))
def test_broken_bodies_are_refused_not_fatal(cut: int) -> None:
    for body in (CONFIG_MAP[:cut], CONFIG_MAP[:cut] + b"\xff" * 12):
        try:
            manifest, _ = decode.decode_body(CONFIG_MAPS, body, PROTOBUF)
        except ApiError as error:
            assert error.code == 400  # noqa: PT017
        else:
            assert manifest["kind"] == "ConfigMap"


def test_another_kind_is_refused() -> None:
    with pytest.raises(ApiError, match="cannot be handled as a ConfigMap: converting"):
        decode.decode_body(CONFIG_MAPS, QUOTA, PROTOBUF)


def test_malformed_messages_are_named() -> None:
    with pytest.raises(MalformedProtobuf, match="unexpected EOF"):
        decode_message("core.v1.ConfigMap", b"\x0a\x05ab")
    with pytest.raises(MalformedProtobuf, match="overflow"):
        decode_message("core.v1.ServicePort", b"\x18" + b"\xff" * 11)
