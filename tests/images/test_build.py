"""Recipes become layers that images share, and archives that holdfast and docker read."""

import gzip
import hashlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import build
import pytest
from archives import BuiltLayer, configuration, digest_of, write_archive
from packages import BuildFailed, Package
from recipes import BASE, RECIPES, Contents, Recipe

from holdfast.node.images.loading import load
from holdfast.node.images.references import normalise
from holdfast.node.images.store import ImageStore

RECIPE = Recipe(
    names=("docker.io/library/x:latest",),
    contents=Contents(packages=("x",), without=("libunused*",)),
    command=("x",),
    entrypoint=("docker-entrypoint.sh",),
    versions={"X_VERSION": "x"},
    stop_signal="SIGQUIT",
    ports=("80/tcp",),
    volumes=("/data",),
)
LIBC, X = Package("libc6", "2.36-9", "amd64"), Package("x", "1:1.0-1", "amd64")
RESOLVED = {
    BASE.packages: [LIBC, Package("dpkg", "1", "amd64")],
    (*BASE.packages, "x"): [LIBC, Package("dpkg", "1", "amd64"), Package("libunused7", "1", "amd64"), X],
}


def test_a_package_is_in_the_lowest_layer_that_needs_it() -> None:
    base, program = build.plan_layers(RECIPE, RESOLVED)
    assert (base.packages, base.is_lowest) == ((LIBC,), True)
    assert (program.packages, program.is_lowest) == ((X,), False)


def test_an_image_of_its_own_has_one_layer() -> None:
    (layer,) = build.plan_layers(replace(RECIPE, below=()), {("x",): [LIBC, X]})
    assert (layer.packages, layer.is_lowest) == ((LIBC, X), True)


def test_images_share_the_base_and_equal_contents() -> None:
    stacks = [build._stack(RECIPES[name]) for name in ("mysql", "mysql-openshift", "nginx")]
    assert stacks[0] == stacks[1]
    assert stacks[0][0] is stacks[2][0]


@pytest.mark.parametrize(
    "other",
    [
        build.LayerPlan(RECIPE.contents, (Package("x", "1:1.1-1", "amd64"),), is_lowest=False),
        build.LayerPlan(RECIPE.contents, (X,), is_lowest=True),
        build.LayerPlan(replace(RECIPE.contents, files="redis"), (X,), is_lowest=False),
        build.LayerPlan(replace(RECIPE.contents, links={"/a": "b"}), (X,), is_lowest=False),
    ],
)
def test_whatever_changes_a_layer_changes_its_key(other: build.LayerPlan) -> None:
    plan = build.LayerPlan(RECIPE.contents, (X,), is_lowest=False)
    assert plan.key == build.LayerPlan(RECIPE.contents, (X,), is_lowest=False).key
    assert plan.key != other.key


def test_a_layer_is_built_once(tmp_path: Path) -> None:
    (tmp_path / "layers").mkdir()
    plan = build.LayerPlan(Contents(files="curl"), (), is_lowest=False)
    first = build._build_layers([plan, plan], tmp_path)
    (made,) = (tmp_path / "layers").iterdir()
    before = made.stat().st_ino
    assert build._build_layers([plan], tmp_path) == first
    assert made.stat().st_ino == before
    assert digest_of(gzip.decompress(first[plan.key].blob)) == first[plan.key].diff_id


def test_the_configuration_says_how_the_image_starts_and_stops() -> None:
    found = configuration(RECIPE, [LIBC, X], ["sha256:1", "sha256:2"])
    config = found["config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["docker-entrypoint.sh"], ["x"])
    assert config["StopSignal"] == "SIGQUIT"
    assert (config["ExposedPorts"], config["Volumes"]) == ({"80/tcp": {}}, {"/data": {}})
    assert "X_VERSION=1.0" in config["Env"]
    assert "WorkingDir" not in config
    assert found["rootfs"]["diff_ids"] == ["sha256:1", "sha256:2"]
    assert len(found["history"]) == 2


def layer(data: bytes) -> BuiltLayer:
    return BuiltLayer(digest_of(data), gzip.compress(data, mtime=0))


def test_the_archive_is_read_as_oci_and_as_docker(tmp_path: Path) -> None:
    lower, upper = layer(b"lower"), layer(b"upper")
    target = tmp_path / "x.tar"
    names = ["docker.io/library/x:1", "docker.io/library/x:2"]
    write_archive(target, names, configuration(RECIPE, [X], [lower.diff_id, upper.diff_id]), [lower, upper])
    with tarfile.open(target) as archive:
        files = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    index, (saved,) = json.loads(files["index.json"]), json.loads(files["manifest.json"])
    assert (
        [item["annotations"]["io.containerd.image.name"] for item in index["manifests"]] == saved["RepoTags"] == names
    )
    digest = index["manifests"][0]["digest"]
    manifest = json.loads(files[f"blobs/{digest.replace(':', '/')}"])
    assert [gzip.decompress(files[name]) for name in saved["Layers"]] == [b"lower", b"upper"]
    for blob in (manifest["config"], *manifest["layers"], index["manifests"][0]):
        data = files[f"blobs/{blob['digest'].replace(':', '/')}"]
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (blob["digest"].partition(":")[2], blob["size"])


def test_the_store_loads_what_was_built(tmp_path: Path) -> None:
    (tmp_path / "layers").mkdir()
    base = build.LayerPlan(Contents(files="base"), (), is_lowest=True)
    upper = build.LayerPlan(Contents(files="curl"), (), is_lowest=False)
    built = build._build_layers([base, upper], tmp_path)
    stack = [built[base.key], built[upper.key]]
    config = configuration(RECIPE, [X], [layer.diff_id for layer in stack])
    write_archive(tmp_path / "x.tar", RECIPE.names, config, stack)
    (record,) = load(ImageStore(tmp_path / "store"), tmp_path / "x.tar")
    assert record.references == RECIPE.names
    assert (record.stop_signal, record.volumes) == ("SIGQUIT", ("/data",))


def test_an_unknown_image_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"no recipe for oracle: there are busybox, .*tools"):
        build.build(["oracle"], tmp_path, tmp_path)


@pytest.mark.parametrize("name", RECIPES)
def test_every_name_is_fully_spelt(name: str) -> None:
    for reference in RECIPES[name].names:
        assert normalise(reference) == reference


def test_no_two_images_claim_one_name() -> None:
    names = [reference for recipe in RECIPES.values() for reference in recipe.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("postgres", "SIGINT"),
        ("mysql", "SIGTERM"),
        ("redis", "SIGTERM"),
        ("nginx", "SIGQUIT"),
        ("httpd", "SIGWINCH"),
    ],
)
def test_servers_are_stopped_the_way_that_ends_them_in_good_order(name: str, signal: str) -> None:
    assert RECIPES[name].stop_signal == signal
