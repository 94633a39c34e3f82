"""`holdfast image`."""

from __future__ import annotations

from pathlib import Path

import click

from holdfast.cluster.home import Home
from holdfast.node.images.archive import BadArchive
from holdfast.node.images.references import InvalidReference, normalise
from holdfast.node.images.store import ImageStore
from holdfast.node.runtime import ImageMissing, ImageRecord

from .output import Failure, home_option, output_option, print_json, step, table


@click.group("image")
def command() -> None:
    """The local image store: what pods can run without a registry.

    The image `host` is always there: this machine's own programs, read-only below, private on top.
    """


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
            loaded = store.load(archive, names)
        except (BadArchive, OSError) as error:
            raise Failure(str(error)) from error
        for record in loaded:
            click.echo(f"loaded {', '.join(record.references)}  {short(record)}  {size(record.size_bytes)}")


@command.command("list")
@home_option
@output_option
def list_(home: Home, output: str) -> None:
    """Show the images that are here."""
    records = ImageStore(home.images).records()
    if output == "json":
        print_json([{"id": r.id, "references": r.references, "sizeBytes": r.size_bytes} for r in records])
        return
    rows = [
        (reference, short(record), size(record.size_bytes)) for record in records for reference in record.references
    ]
    for line in table(("IMAGE", "ID", "SIZE"), rows):
        click.echo(line)


@command.command("rm")
@click.argument("reference")
@home_option
def remove(reference: str, home: Home) -> None:
    """Forget an image; its layers go with the last image that has them."""
    try:
        ImageStore(home.images).remove(reference)
    except (KeyError, InvalidReference) as error:
        raise Failure(f"there is no image {reference}: see `holdfast image list`") from error
    click.echo(f"removed {normalise(reference)}")


@command.command("pull")
@click.argument("reference")
@home_option
def pull(reference: str, home: Home) -> None:
    """Fetch an image from its registry, unless it is here."""
    try:
        record = ImageStore(home.images).pull(reference)
    except ImageMissing as error:
        raise Failure(error.message) from error
    click.echo(f"{reference}  {short(record)}  {size(record.size_bytes)}")


def short(record: ImageRecord) -> str:
    return record.id.removeprefix("sha256:")[:12]


def size(count: int) -> str:
    """Of bytes, for people."""
    return f"{count / 1e6:.1f} MB" if count else "-"
