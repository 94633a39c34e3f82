#!/usr/bin/env python3
"""Builds container images from Debian packages, for tests, demonstrations and machines without a registry.

    python images/build.py [nginx postgres ...] --output DIR

Writes one archive per image, in OCI layout and readable by docker too, with every name that tutorials use
for it: `holdfast image load DIR/*.tar` takes them. Needs apt-get and no root. The same packages give the same
bytes; packages and layers are kept in a cache, so that a second run takes seconds.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import gzip
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from archives import BuiltLayer, configuration, digest_of, write_archive
from layer import files_of, make_layer
from packages import BuildFailed, ListsWereOutdated, Package, Packages
from recipes import NOT_NEEDED, RECIPES, Contents, Recipe

MAKING = Path(__file__).with_name("layer.py").read_bytes()
"""How layers are made: part of the cache's key, so that nothing stays that another version made."""
COMPRESSION = 3
"""gzip's level: archives are read on the machine that builds them, so speed counts for more than size."""


@dataclass(frozen=True)
class LayerPlan:
    """All that decides on a layer's bytes."""

    contents: Contents
    packages: tuple[Package, ...]
    is_lowest: bool

    @property
    def key(self) -> str:
        facts = [MAKING, self.contents, self.packages, self.is_lowest, files_of(self.contents)]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


def plan_layers(recipe: Recipe, resolved: Mapping[tuple[str, ...], Sequence[Package]]) -> tuple[LayerPlan, ...]:
    """The image's layers, lowest first; a package is in the lowest layer that needs it.

    `resolved` answers for the packages of each of `questions(recipe)`.
    """
    layers: list[LayerPlan] = []
    for contents, question in zip(_stack(recipe), questions(recipe), strict=True):
        present = {package for layer in layers for package in layer.packages}
        without = (*NOT_NEEDED, *contents.without)
        wanted = (package for package in resolved[question] if package not in present)
        packages = tuple(package for package in wanted if not _matches(package.name, without))
        layers.append(LayerPlan(contents, packages, is_lowest=not layers))
    return tuple(layers)


def questions(recipe: Recipe) -> list[tuple[str, ...]]:
    """What to ask apt, for each layer: packages together with those of the layers below."""
    stack = _stack(recipe)
    return [tuple(name for contents in stack[: end + 1] for name in contents.packages) for end in range(len(stack))]


def _stack(recipe: Recipe) -> list[Contents]:
    return [*recipe.below, recipe.contents]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def build(names: Sequence[str], output: Path, cache: Path, more_names: Sequence[str] = ()) -> list[Path]:
    """The archives of the images, IMAGE.tar each. Raises BuildFailed."""
    recipes = {name: _recipe(name) for name in names}
    output.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        plans = _fetch(recipes, Packages(cache))
        layers = _build_layers([layer for plan in plans.values() for layer in plan], cache)
        for name, recipe in recipes.items():
            built = [layers[layer.key] for layer in plans[name]]
            packages = [package for layer in plans[name] for package in layer.packages]
            config = configuration(recipe, packages, [layer.diff_id for layer in built])
            write_archive(output / f"{name}.tar", list(dict.fromkeys((*recipe.names, *more_names))), config, built)
    return [output / f"{name}.tar" for name in names]


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise BuildFailed(f"no recipe for {name}: there are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def _fetch(recipes: Mapping[str, Recipe], packages: Packages) -> dict[str, tuple[LayerPlan, ...]]:
    """Each image's layers, whose packages are in the cache then."""
    try:
        return _fetch_once(recipes, packages)
    except ListsWereOutdated:
        return _fetch_once(recipes, packages)


def _fetch_once(recipes: Mapping[str, Recipe], packages: Packages) -> dict[str, tuple[LayerPlan, ...]]:
    asked = {question for recipe in recipes.values() for question in questions(recipe)}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        resolved = dict(zip(asked, threads.map(packages.resolve, asked), strict=True))
    plans = {name: plan_layers(recipe, resolved) for name, recipe in recipes.items()}
    packages.download(package for plan in plans.values() for layer in plan for package in layer.packages)
    return plans


def _build_layers(plans: Sequence[LayerPlan], cache: Path) -> dict[str, BuiltLayer]:
    """By key; those that the cache does not have yet are made side by side."""
    directory = cache / "layers"
    directory.mkdir(exist_ok=True)
    by_key = {plan.key: plan for plan in plans}
    missing = [plan for key, plan in by_key.items() if not (directory / key).is_dir()]
    if missing:
        # Python reads packages and writes tars, so processes rather than threads; the largest first.
        missing.sort(key=lambda plan: len(plan.packages), reverse=True)
        with concurrent.futures.ProcessPoolExecutor(min(len(missing), os.cpu_count() or 1)) as processes:
            list(processes.map(_build_layer, missing, [cache] * len(missing)))
    return {
        key: BuiltLayer((directory / key / "diff-id").read_text(), (directory / key / "layer.tar.gz").read_bytes())
        for key in by_key
    }


def _build_layer(plan: LayerPlan, cache: Path) -> None:
    """Makes the layer's directory in the cache; it appears complete."""
    packages = Packages(cache)
    tar = make_layer(plan.contents, map(packages.file, plan.packages), is_lowest=plan.is_lowest)
    with tempfile.TemporaryDirectory(dir=cache / "layers", prefix=".new-") as temporary:
        ready = Path(temporary, "layer")
        ready.mkdir()
        (ready / "diff-id").write_text(digest_of(tar))
        (ready / "layer.tar.gz").write_bytes(gzip.compress(tar, COMPRESSION, mtime=0))
        os.replace(ready, cache / "layers" / plan.key)


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """One build at a time uses the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "holdfast", "images")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds container images from Debian packages.")
    known = ", ".join(sorted(RECIPES))
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"some of {known}; all if none is named")
    parser.add_argument("--output", type=Path, required=True, help="directory for the archives, IMAGE.tar each")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="directory for packages and layers")
    parser.add_argument("--name", action="append", default=[], help="a further name for the image; repeatable")
    options = parser.parse_args(arguments)
    if options.name and len(options.images) != 1:
        parser.error("--name is for one image")
    try:
        built = build(options.images or sorted(RECIPES), options.output, options.cache.absolute(), options.name)
    except BuildFailed as failure:
        print(f"{parser.prog}: {failure}", file=sys.stderr)
        return 1
    print(*built, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
