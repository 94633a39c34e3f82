"""The images that a Node lists."""

from holdfast.node.node_status import image_entry
from holdfast.node.runtime import ImageRecord


def test_an_image_is_listed_by_digests_and_names_with_its_size():
    image = ImageRecord("sha256:1", ("docker.io/library/nginx:1",), ("docker.io/library/nginx@sha256:2",), 7)
    names = ["docker.io/library/nginx@sha256:2", "docker.io/library/nginx:1"]
    assert image_entry(image) == {"names": names, "sizeBytes": 7}


def test_a_size_of_zero_is_left_out_as_the_api_does_so_that_a_quiet_node_does_not_differ():
    assert image_entry(ImageRecord("sha256:1", ("host",), (), 0)) == {"names": ["host"]}
