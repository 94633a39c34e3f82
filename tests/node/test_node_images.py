"""The images that a Node lists."""

from holdfast.node.node_status import image_entries
from holdfast.node.runtime import ImageRecord


def test_an_image_is_listed_by_digests_and_names_with_its_size():
    image = ImageRecord("sha256:1", ("docker.io/library/nginx:1",), ("docker.io/library/nginx@sha256:2",), 7)
    names = ["docker.io/library/nginx@sha256:2", "docker.io/library/nginx:1"]
    assert image_entries([image]) == [{"names": names, "sizeBytes": 7}]


def test_a_size_of_zero_is_left_out_as_the_api_does_so_that_a_quiet_node_does_not_differ():
    assert image_entries([ImageRecord("sha256:1", ("host",), (), 0)]) == [{"names": ["host"]}]


def test_the_largest_come_first_with_five_names_at_most_and_fifty_of_them():
    many = [ImageRecord(f"sha256:{n}", tuple(f"app:{tag}" for tag in range(9)), (), n) for n in range(1, 60)]
    entries = image_entries(many)
    assert [entry["sizeBytes"] for entry in entries] == list(range(59, 9, -1))
    assert {len(entry["names"]) for entry in entries} == {5}
