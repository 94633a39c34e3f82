"""The cluster's state, lost while its volumes are not."""

import pytest

from holdfast.cluster.home import Damaged, Home
from holdfast.cluster.serving import check_state


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "h")
    home.make()
    return home


@pytest.mark.parametrize("entry", [".pool", "pvc-eb508183-c6b0-4a80-8c46-44321c8e24cc"])
@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "empty"])
def test_volumes_whose_cluster_is_forgotten_are_not_left_to_an_empty_one(home, entry, is_there):
    (home.volumes / entry).mkdir()
    if is_there:
        home.database.touch()
    with pytest.raises(Damaged, match=r"state.db is missing or empty, and there are volumes .*: put a copy"):
        check_state(home)


def test_a_new_cluster_has_neither(home):
    (home.volumes / ".making").mkdir()
    check_state(home)


def test_a_state_that_another_user_has_left_is_said_to_be_one(home, monkeypatch):
    home.database.write_text("something")
    monkeypatch.setattr("os.access", lambda *given: False)
    with pytest.raises(PermissionError) as said:
        check_state(home)
    assert said.value.filename == str(home.database)


def test_what_is_there_is_for_the_store_to_judge(home):
    (home.volumes / ".pool").mkdir()
    home.database.write_text("something")
    check_state(home)
