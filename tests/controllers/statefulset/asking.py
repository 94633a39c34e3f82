"""Sets that ask for more than upstream gives: in a few words, what they ask for and what comes of it."""

from holdfast.api.apps import stateful_set_beyond as beyond
from holdfast.api.feature_gates import MAX_UNAVAILABLE_STATEFUL_SET, STATEFUL_SET_RECREATE_STRATEGY

from .builders import doing, plan

UNSTICK = {beyond.UNSTICK: "true"}
BATCHES = frozenset({MAX_UNAVAILABLE_STATEFUL_SET})
RECREATES = frozenset({STATEFUL_SET_RECREATE_STRATEGY})


def does(cluster):
    return doing(plan(cluster.observed()))


def reason(cluster):
    return plan(cluster.observed()).reason


def images(cluster):
    return {name: pod["spec"]["containers"][0]["image"] for name, pod in sorted(cluster.pods.items())}


def annotate(cluster, **annotations):
    """Sets or, with None, takes away annotations of ours; by their names without prefix, in snake case."""
    found = dict(cluster.set["metadata"].get("annotations") or {})
    for name, value in annotations.items():
        found[beyond.PREFIX + name.replace("_", "-")] = value
    found = {name: value for name, value in found.items() if value is not None}
    cluster.set = {**cluster.set, "metadata": {**cluster.set["metadata"], "annotations": found}}


def template(cluster, image, number):
    cluster.change_image(image)
    cluster.with_revision(image, number)
