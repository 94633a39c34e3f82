"""DaemonSets: the generation of their template, as only the server counts it."""

import pytest

from holdfast.api.apps.daemon_set import DAEMON_SETS, TEMPLATE_GENERATION
from holdfast.api.errors import BadRequest


def daemon_set(generation=None, image="app:1", **annotations):
    if generation is not None:
        annotations[TEMPLATE_GENERATION] = generation
    template = {"spec": {"containers": [{"name": "main", "image": image}]}}
    return {"metadata": {"name": "agent", "annotations": annotations}, "spec": {"template": template}}


def generation_of(manifest):
    return manifest["metadata"]["annotations"][TEMPLATE_GENERATION]


@pytest.mark.parametrize(("given", "stored"), [(None, "1"), ("0", "1"), ("-5", "1"), ("7", "7"), ("+007", "7")])
def test_a_new_set_starts_at_one_or_where_it_says(given, stored):
    made = daemon_set(given)
    DAEMON_SETS.prepare_create(made)
    assert generation_of(made) == stored


@pytest.mark.parametrize("given", [None, "99", "0"])
def test_only_another_template_counts_whatever_the_client_says(given):
    old = daemon_set("3", colour="red")
    same = daemon_set(given, colour="blue")
    DAEMON_SETS.prepare_update(same, old)
    assert same["metadata"]["annotations"] == {TEMPLATE_GENERATION: "3", "colour": "blue"}
    changed = daemon_set(given, image="app:2")
    DAEMON_SETS.prepare_update(changed, old)
    assert generation_of(changed) == "4"
    assert generation_of(old) == "3"


@pytest.mark.parametrize(
    ("given", "problem"),
    [("", "invalid syntax"), ("x", "invalid syntax"), ("1.5", "invalid syntax"), ("9" * 5000, "value out of range")],
)
def test_what_is_no_number_is_refused_as_a_document_that_cannot_be_read(given, problem):
    with pytest.raises(BadRequest) as refused:
        DAEMON_SETS.default(daemon_set(given))
    beginning = 'DaemonSet in version "v1" cannot be handled as a DaemonSet: strconv.ParseInt: parsing "'
    assert refused.value.message.startswith(beginning)
    assert refused.value.message.endswith(f'": {problem}')


def test_metadata_alone_does_not_show_the_generation():
    assert DAEMON_SETS.metadata_alone(daemon_set("1")) == {"name": "agent"}
    assert DAEMON_SETS.metadata_alone(daemon_set("1", a="b")) == {"name": "agent", "annotations": {"a": "b"}}
