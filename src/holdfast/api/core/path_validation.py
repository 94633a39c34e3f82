"""Paths in volumes: whether they are absolute, and that none leads out of where it begins."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.errors import FieldError, invalid, required


def no_backsteps(field: str, path: str) -> Iterator[FieldError]:
    if ".." in path.split("/"):
        yield invalid(field, path, "must not contain '..'")


def absolute_path(field: str, path: str) -> Iterator[FieldError]:
    if not path:
        yield required(field)
    elif not path.startswith("/"):
        yield invalid(field, path, "must be an absolute path")


def descending_path(field: str, path: str) -> Iterator[FieldError]:
    """A relative path that stays below where it begins."""
    if path.startswith("/"):
        yield invalid(field, path, "must be a relative path")
    yield from no_backsteps(field, path)


def file_path(field: str, path: str) -> Iterator[FieldError]:
    """Where a volume puts a file; names that begin with `..` are the volume's own."""
    if not path:
        yield required(field)
        return
    yield from descending_path(field, path)
    if path.startswith("..") and not path.startswith("../"):
        yield invalid(field, path, "must not start with '..'")
