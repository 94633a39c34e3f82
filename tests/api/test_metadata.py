import pytest

from holdfast.api import metadata, names
from holdfast.api.resource import Resource

THINGS = Resource(group="", version="v1", kind="Thing", plural="things")
CLUSTER_THINGS = Resource(group="", version="v1", kind="Thing", plural="things", namespaced=False)


def errors(**members) -> list[str]:
    made = {"name": "a", "namespace": "default", **members}
    return [str(error) for error in metadata.validate_metadata({"metadata": made}, THINGS)]


def test_good_metadata_passes() -> None:
    assert errors(
        generateName="a-",
        labels={"app.kubernetes.io/name": "x"},
        annotations={"Example.com/Upper": "any thing"},
        finalizers=["a.example/x", "kubernetes", "orphan"],
        ownerReferences=[{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "w", "uid": "1", "controller": True}],
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "A"}, f'metadata.name: Invalid value: "A": {names.dns_subdomain("A")}'),
        ({"namespace": "a.b"}, 'metadata.namespace: Invalid value: "a.b": must not contain dots'),
        ({"labels": {"a": "-x-"}}, f'metadata.labels: Invalid value: "-x-": {names.label_value("-x-")}'),
        ({"annotations": {"a": "x" * 262144}}, "metadata.annotations: Too long: may not be more than 262144 bytes"),
        (
            {"finalizers": ["nonsense"]},
            'metadata.finalizers[0]: Invalid value: "nonsense": '
            "name is neither a standard finalizer name nor is it fully qualified",
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a"}]},
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
    ],
)
def test_bad_metadata_a66_a68(members, message: str) -> None:
    assert errors(**members) == [message]


def test_only_one_owner_controls_a68() -> None:
    owners = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1", "controller": True},
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "2", "controller": True},
    ]
    (message,) = errors(ownerReferences=owners)
    assert message.startswith('metadata.ownerReferences: Invalid value: [{"apiVersion":"v1"')
    assert message.endswith(
        'Only one reference can have Controller set to true. Found "true" in references for ConfigMap/a and ConfigMap/b'
    )


def test_cluster_scoped_objects_have_no_namespace() -> None:
    found = metadata.validate_metadata({"metadata": {"name": "a", "namespace": "b"}}, CLUSTER_THINGS)
    assert [str(error) for error in found] == ["metadata.namespace: Forbidden: not allowed on this type"]


def test_no_finalizer_is_added_while_the_object_is_deleted_a79() -> None:
    old = {"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a.b/c"]}}
    new = {"metadata": {**old["metadata"], "finalizers": ["a.b/c", "z.io/z"]}}
    found = metadata.validate_metadata_update(new, old)
    assert len(found) == 2
    assert {str(error) for error in found} == {
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"z.io/z"}'
    }
    assert metadata.validate_metadata_update(old, new) == []


def test_identity_is_immutable_a79() -> None:
    old = {"metadata": {"name": "a", "uid": "1"}}
    found = metadata.validate_metadata_update({"metadata": {"name": "a", "uid": "2"}}, old)
    assert {str(error) for error in found} == {'metadata.uid: Invalid value: "2": field is immutable'}
    deleted = {"metadata": {**old["metadata"], "deletionTimestamp": "2001-01-01T00:00:00Z"}}
    assert {error.field for error in metadata.validate_metadata_update(deleted, old)} == {"metadata.deletionTimestamp"}


def test_keys_and_controllers() -> None:
    owner = {"kind": "StatefulSet", "controller": True}
    pod = {"metadata": {"namespace": "default", "name": "web-0", "ownerReferences": [{"kind": "X"}, owner]}}
    assert metadata.key(pod) == "default/web-0"
    assert metadata.key({"metadata": {"name": "node-1"}}) == "node-1"
    assert metadata.controller_of(pod) is owner
    assert metadata.controller_of({"metadata": {"name": "a"}}) is None
