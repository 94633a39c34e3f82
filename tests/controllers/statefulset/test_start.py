"""`ordinals.start` and `partition` together: the partition counts slots, wherever they begin."""

import pytest

from .builders import Cluster, doing, plan, running, settle, statefulset


@pytest.mark.parametrize(("ordinal", "image"), [(5, "app:1"), (6, "app:1"), (7, "app:2")])
@pytest.mark.parametrize("parallel", [False, True])
def test_s89_s93_a_missing_pod_is_of_the_revision_of_its_slot_not_of_its_ordinal(parallel, ordinal, image):
    cluster = running(3, start=5, partition=2, parallel=parallel)
    cluster.change_image("app:2")
    settle(cluster)
    cluster.gone(ordinal)
    assert doing(plan(cluster.observed())) == [f"create pod web-{ordinal}"]
    cluster.step()
    labels = cluster.pods[f"web-{ordinal}"]["metadata"]["labels"]
    assert labels["controller-revision-hash"] == cluster.revision(image)


def test_s94_so_is_one_of_a_set_without_rolling_update():
    cluster = running(3, start=5, partition=None)
    cluster.change_image("app:2")
    cluster.step()
    cluster.gone(7)
    cluster.step()
    assert cluster.pods["web-7"]["metadata"]["labels"]["controller-revision-hash"] == cluster.revision("app:2")
    cluster.gone(5)
    cluster.step()
    assert cluster.pods["web-5"]["metadata"]["labels"]["controller-revision-hash"] == cluster.revision("app:1")


def test_s17_s21_the_index_label_carries_the_ordinal():
    cluster = Cluster(statefulset(2, start=5))
    settle(cluster)
    labels = {name: pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] for name, pod in cluster.pods.items()}
    assert labels == {"web-5": "5", "web-6": "6"}
