"""`holdfast image`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from holdfast.cluster.home import Home
from holdfast.cluster.private_files import set_usual_umask
from holdfast.node.image_pulls import in_words
from holdfast.node.images.archive import BadArchive
from holdfast.node.images.loading import load as load_archive
from holdfast.node.images.puller import Puller
from holdfast.node.images.references import HOST, InvalidReference, normalise
from holdfast.node.images.store import ImageInUse, ImageStore
from holdfast.node.runtime import ImageMissing, ImageRecord, PullProgress
from holdfast.world import user_namespace

from .output import Failure, home_option, is_plain, output_option, print_json, step, table

SHOWN_NAMES = 3
PROGRESS_EVERY = 10
"""Of what a pull tells, where nobody watches a terminal."""


@click.group("image", short_help="The local image store.")
def command() -> None:
    """The local image store: what pods can run without asking a registry.

    The image `host` is always there: this machine's own programs, read-only below, private on top. How
    registries are reached (mirrors, plain HTTP, CAs, credentials) is in `registries.toml` in the data directory.
    """
    set_usual_umask()
    if os.geteuid() != 0:  # layers have files of several users, whom a user namespace knows
        with contextlib.suppress(OSError):
            user_namespace.enter()


@command.command("load")
@click.argument("archives", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", "names", multiple=True, help="A further name for the image; may be repeated.")
@home_option
def load(archives: tuple[Path, ...], names: tuple[str, ...], home: Home) -> None:
    """Add the images of docker (`docker save`) or OCI archives. A running cluster sees them at once."""
    home.make()
    store = ImageStore(home.images)
    for archive in archives:
        step(f"reading {archive}")
        try:
            loaded = load_archive(store, archive, names)
        except (BadArchive, OSError) as error:
            raise Failure(str(error)) from error
        for record in loaded:
            click.echo(f"loaded {_several(record.references)}  {short(record)}  {size(record.size_bytes)}")


def _several(names: Sequence[str]) -> str:
    """Stand-ins have dozens of names, which `holdfast image list` shows."""
    shown = ", ".join(names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES} more names"


@command.command("list")
@home_option
@output_option
def list_(home: Home, output: str) -> None:
    """Show the images that are here."""
    records = ImageStore(home.images).records()
    if output == "json":
        print_json([as_json(record) for record in records])
        return
    rows = [
        (name, short(record), size(record.size_bytes))
        for record in records
        for name in record.references or record.digests
    ]
    for line in table(("IMAGE", "ID", "SIZE"), rows):
        click.echo(line)


@command.command("rm", short_help="Forget an image by one of its names, or by its id.")
@click.argument("reference")
@home_option
def remove(reference: str, home: Home) -> None:
    """Forget an image by a name, or by its id with all its names; its layers go with the last image that has them."""
    try:
        ImageStore(home.images).remove(reference)
    except (KeyError, InvalidReference) as error:
        raise Failure(f"there is no image {reference}: see `holdfast image list`") from error
    except ImageInUse as error:
        raise Failure(f"a container stands on image {reference}: remove its pod first") from error
    click.echo(f"removed {reference if reference.startswith('sha256:') else normalise(reference)}")


@command.command("prune")
@click.option("--all", "with_loaded", is_flag=True, help="Those loaded from archives too.")
@home_option
def prune(with_loaded: bool, home: Home) -> None:
    """Remove the images that no container uses."""
    removed = ImageStore(home.images).prune(with_loaded=with_loaded)
    for record in removed:
        click.echo(f"removed {', '.join(record.references or record.digests)}  {size(record.size_bytes)}")
    if not removed:
        click.echo("no image is unused" + ("" if with_loaded else " but those loaded from archives, if any"))


@command.command("pull")
@click.argument("reference")
@home_option
@output_option
def pull(reference: str, home: Home, output: str) -> None:
    """Fetch an image from its registry, or bring it up to date. A running cluster sees it at once."""
    home.make()
    puller = Puller(ImageStore(home.images), home.images, home.registries)
    with progress_line() as told:
        try:
            record = asyncio.run(puller.pull(reference, progress=told))
        except ImageMissing as error:
            raise Failure(error.message) from error
    if output == "json":
        print_json(as_json(record))
        return
    name = HOST if reference == HOST else normalise(reference)
    click.echo(f"pulled {name}  {short(record)}  {size(record.size_bytes)}")


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[PullProgress], None]]:
    """Shows how far a pull is on standard error: one line that changes on a terminal, now and then a line elsewhere."""
    is_terminal = sys.stderr.isatty() and not is_plain()
    count = 0

    def told(progress: PullProgress) -> None:
        nonlocal count
        count += 1
        if is_terminal:
            click.echo(f"\r\033[K  · {in_words(progress)}", err=True, nl=False)
        elif count % PROGRESS_EVERY == 0:
            step(in_words(progress))

    try:
        yield told
    finally:
        if is_terminal and count:
            click.echo("\r\033[K", err=True, nl=False)


def as_json(record: ImageRecord) -> dict[str, Any]:
    """For programs."""
    return {
        "id": record.id,
        "references": record.references,
        "digests": record.digests,
        "sizeBytes": record.size_bytes,
        "loaded": record.is_local,
    }


def short(record: ImageRecord) -> str:
    return record.id.removeprefix("sha256:")[:12]


def size(count: int) -> str:
    """Of bytes, for people."""
    return f"{count / 1e6:.1f} MB" if count else "-"
