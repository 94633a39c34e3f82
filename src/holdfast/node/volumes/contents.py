"""What the files of configMap, secret, downwardAPI and projected volumes hold (V100-V105).

`contents` is pure over what `Lookup` answers. A file is listed by its path in the volume.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from typing import Protocol

from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.node.downward import UnknownField, field_value, resource_value
from holdfast.node.pod import Pod

from . import MountFailure, Source
from .atomic import File

DEFAULT_MODE = 0o644
GROUP_READ = 0o040
OWNER_ONLY = 0o600

KINDS = frozenset({"configMap", "secret", "downwardAPI", "projected"})


class Lookup(Protocol):
    """The API objects that such volumes show."""

    async def config_map(self, namespace: str, name: str) -> Manifest | None: ...

    async def secret(self, namespace: str, name: str) -> Manifest | None: ...

    async def token(self, pod: Pod, audience: str, expiration_s: int) -> str:
        """A token of the pod's service account. Raises ApiError."""


async def contents(pod: Pod, source: Source, lookup: Lookup, allocatable: Mapping[str, str]) -> dict[str, File]:
    """All files of the volume. Raises MountFailure."""
    mode = int(source.details.get("defaultMode") or DEFAULT_MODE)
    if source.kind != "projected":
        return await _of(pod, source.kind, source.details, mode, source.name, lookup, allocatable)
    projections = [each for projection in source.details.get("sources") or () for each in projection.items()]
    found = await asyncio.gather(
        *(_of(pod, kind, details or {}, mode, source.name, lookup, allocatable) for kind, details in projections),
        return_exceptions=True,
    )
    files: dict[str, File] = {}
    for part in found:  # in their order: a later one has the path (V105), the first failure is the one that is told
        if isinstance(part, BaseException):
            raise part
        files |= part
    return files


async def _of(
    pod: Pod,
    kind: str,
    details: Manifest,
    mode: int,
    volume: str,
    lookup: Lookup,
    allocatable: Mapping[str, str],
) -> dict[str, File]:
    match kind:
        case "configMap":
            name = details.get("name", "")
            found = await lookup.config_map(pod.namespace, name)
            data = _payload(found, "configmap", name, details, volume, is_binary=False)
            return _selected(data, details, mode, volume, "configmap references non-existent config key: {key}")
        case "secret":
            name = details.get("secretName") or details.get("name", "")
            found = await lookup.secret(pod.namespace, name)
            data = _payload(found, "secret", name, details, volume, is_binary=True)
            return _selected(data, details, mode, volume, "references non-existent secret key: {key}")
        case "downwardAPI":
            return _downward(pod, details, mode, volume, allocatable)
        case "serviceAccountToken":
            audience = str(details.get("audience") or "")
            try:
                token = await lookup.token(pod, audience, int(details.get("expirationSeconds") or 3600))
            except ApiError as error:
                raise MountFailure(volume, f"failed to fetch token: {error}") from error
            return {details["path"]: _token_file(pod, token, mode)}
        case _:
            raise MountFailure(volume, f"volume source {kind} is not supported by this node")


def _payload(
    found: Manifest | None, kind: str, name: str, details: Manifest, volume: str, *, is_binary: bool
) -> dict[str, bytes]:
    if found is None:
        if details.get("optional"):
            return {}
        raise MountFailure(volume, f'{kind} "{name}" not found')
    data = found.get("data") or {}
    if is_binary:
        return {key: b64decode(value) for key, value in data.items()}
    payload = {key: str(value).encode() for key, value in data.items()}
    return payload | {key: b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def _selected(data: Mapping[str, bytes], details: Manifest, mode: int, volume: str, refusal: str) -> dict[str, File]:
    """All keys, or the listed ones at their paths (V102)."""
    items = details.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        if item["key"] not in data:
            if details.get("optional"):
                continue
            raise MountFailure(volume, refusal.format(key=item["key"]))
        files[item["path"]] = File(data[item["key"]], int(item.get("mode") or mode))
    return files


def _downward(pod: Pod, details: Manifest, mode: int, volume: str, allocatable: Mapping[str, str]) -> dict[str, File]:
    files = {}
    for item in details.get("items") or ():
        try:
            if reference := item.get("fieldRef"):
                text = field_value(pod, reference["fieldPath"])
            else:
                reference = item["resourceFieldRef"]
                container = pod.container(reference.get("containerName", "")) or pod.app_containers[0]
                text = resource_value(pod, container, reference, allocatable)
        except UnknownField as error:
            raise MountFailure(volume, str(error)) from error
        files[item["path"]] = File(text.encode(), int(item.get("mode") or mode))
    return files


def _token_file(pod: Pod, token: str, mode: int) -> File:
    """0600 where a user or a group can be named to whom it belongs (V105)."""
    context = pod.spec.get("securityContext") or {}
    if context.get("fsGroup") is not None:
        return File(token.encode(), OWNER_ONLY)
    users = {
        (container.manifest.get("securityContext") or {}).get("runAsUser", context.get("runAsUser"))
        for container in pod.containers()
    }
    if len(users) == 1 and (uid := users.pop()) is not None:
        return File(token.encode(), OWNER_ONLY, int(uid))
    return File(token.encode(), mode)


def for_group(files: Mapping[str, File]) -> dict[str, File]:
    """With fsGroup the group may read (V101)."""
    return {name: File(file.content, file.mode | GROUP_READ, file.uid) for name, file in files.items()}
