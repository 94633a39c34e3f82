"""Whom a container runs as: the pod's wish, else the image's, resolved in the image's own passwd and group files."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.node.runtime import RuntimeFailure, User


@dataclass(frozen=True, slots=True)
class Identity:
    """Numbers only, as the kernel wants them."""

    uid: int
    gid: int
    supplementary_gids: tuple[int, ...]
    home: str


def resolve_user(wanted: User, image_user: str, passwd: str, group: str) -> Identity:
    """The identity that the pod's `wanted` and the image's `USER` come to.

    `passwd` and `group` are the texts of the image's files, empty if it has none. With a uid and no gid
    from the pod, the primary group is the one of that uid in passwd, else 0 (N178). Raises RuntimeFailure
    for names that the image does not know.
    """
    user_text, _, group_text = image_user.partition(":")
    if wanted.uid is not None:
        user_text, group_text = str(wanted.uid), ""
    entry = _passwd_entry(user_text or "0", passwd)
    gid = entry.gid
    if wanted.gid is not None:
        gid = wanted.gid
    elif group_text:
        gid = _gid(group_text, group)
    member_of = _groups_of(entry.name, group) if entry.name and wanted.with_groups_of_image else ()
    supplementary = dict.fromkeys((gid, *member_of, *wanted.supplementary_gids))
    return Identity(entry.uid, gid, tuple(supplementary), entry.home)


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    uid: int
    gid: int
    home: str


def _passwd_entry(text: str, passwd: str) -> _Entry:
    """The first line whose name or uid is `text`; a bare uid need not be listed."""
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) < 6 or not (fields[2].isdigit() and fields[3].isdigit()):
            continue
        if text in (fields[0], fields[2]):
            return _Entry(fields[0], int(fields[2]), int(fields[3]), fields[5] or "/")
    if text.isdigit():
        return _Entry("", int(text), 0, "/root" if text == "0" else "/")
    raise RuntimeFailure("CreateContainerError", f"unable to find user {text}: no matching entries in passwd file")


def _gid(text: str, group: str) -> int:
    for line in group.splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[2].isdigit() and text in (fields[0], fields[2]):
            return int(fields[2])
    if text.isdigit():
        return int(text)
    raise RuntimeFailure("CreateContainerError", f"unable to find group {text}: no matching entries in group file")


def _groups_of(name: str, group: str) -> tuple[int, ...]:
    found = []
    for line in group.splitlines():
        fields = line.split(":")
        if len(fields) == 4 and fields[2].isdigit() and name in fields[3].split(","):
            found.append(int(fields[2]))
    return tuple(found)
