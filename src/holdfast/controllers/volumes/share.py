"""Volumes that are directories of NFS shares: made, filled, taken away, and what they look like (V97). Pure.

Source: kubernetes-csi/csi-driver-nfs, pkg/nfs/controllerserver.go.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from holdfast.api import quantity
from holdfast.api.resource import Manifest
from holdfast.api.storage import shares
from holdfast.api.storage.mount_options import mount_options
from holdfast.api.storage.shares import ARCHIVE, RETAIN, BadParameter, Share
from holdfast.controllers.actions import Emit, Plan

from .effects import ShareWork, Work
from .origin import Origin
from .plan import RESYNC_S
from .provision import ObservedRequest, Refusal, create, failure, plan_making, volume_name, volume_of

WITHIN_S = 120.0
"""To make or rename a directory, the server's silence included."""
COPIED_WITHIN_S, COPIED_WITHIN_S_PER_GI = 300.0, 30.0
"""To copy or remove what is in it."""


def plan_share(observed: ObservedRequest) -> Work:
    return plan_making(observed, (shares.DRIVER,), _making)


def _making(claim: Manifest, storage_class: Manifest, observed: ObservedRequest) -> ShareWork:
    name = volume_name(claim)
    parameters = storage_class.get("parameters") or {}
    try:
        share, mode = shares.from_class(parameters, claim, name)
    except BadParameter as error:
        raise Refusal(_error("InvalidArgument", str(error))) from error
    size = claim["spec"]["resources"]["requests"]["storage"]
    operation, arguments = _operation(share, mode, observed.origin)
    work = on_share(
        share,
        operation,
        arguments,
        tuple(storage_class.get("mountOptions") or ()),
        WITHIN_S if operation == "make" else copied_within_s(size),
        done=Plan(
            f"{share.path} is there", (create(volume_of(claim, storage_class, _source(share, parameters)), claim),)
        ),
        failed=lambda error: Plan(error, (Emit(failure(claim, _error("Internal", error))),), again_after_s=RESYNC_S),
    )
    return replace(work, settles=f"{observed.root}/{name}", remains=_remains(work, share))


def _operation(share: Share, mode: str, origin: Origin | None) -> tuple[str, tuple[str, ...]]:
    if origin is None:
        return "make", (share.sub_dir, mode)
    source = origin.share
    assert source is not None
    if (source.server, source.base) != (share.server, share.base):
        where = f"{source.server}:{source.base_path}"
        raise Refusal(_error("InvalidArgument", f"the source is on another share, {where}"))
    operation = "restore" if origin.path.endswith(shares.ARCHIVED) else "fill"
    return operation, (share.sub_dir, mode, origin.path)


def _source(share: Share, parameters: dict[str, str]) -> Manifest:
    attributes = {key: value for key, value in parameters.items() if key.lower() != "subdir"}
    return {
        "csi": {
            "driver": shares.DRIVER,
            "volumeHandle": share.handle,
            "volumeAttributes": {**attributes, "subDir": share.sub_dir},
        }
    }


def _error(code: str, text: str) -> str:
    """As a driver's errors reach its users."""
    return f"rpc error: code = {code} desc = {text}"


def on_share(
    share: Share,
    operation: str,
    arguments: tuple[str, ...],
    options: tuple[str, ...],
    deadline_s: float,
    done: Plan,
    failed: Callable[[str], Plan],
) -> ShareWork:
    """Work on a directory of the share; paths in `arguments` are below its root."""
    return ShareWork(share.server, share.base_path, options, deadline_s, done, failed, operation, arguments)


def copied_within_s(size: str) -> float:
    """How long it may take to copy or remove a volume of that size."""
    return max(COPIED_WITHIN_S, COPIED_WITHIN_S_PER_GI * (quantity.whole(size) // (1 << 30)))


def _remains(work: ShareWork, share: Share) -> str:
    return json.dumps({"handle": share.handle, "options": work.options})


def taking_away(remains: str, path: str, failed: Callable[[str], Plan]) -> ShareWork:
    """What has to be done about a directory that was begun for a claim that is gone.

    One that has the volume's own name is nobody else's; any other may have been there before, and stays if it is used.
    """
    found = json.loads(remains)
    share = shares.of_handle(found["handle"])
    assert share is not None
    operation = "discard" if share.uuid else "remove"
    gone = Plan("nobody wants it any more")
    work = on_share(share, operation, (share.sub_dir,), tuple(found["options"]), COPIED_WITHIN_S, gone, failed)
    return replace(work, settles=path)


def deletion(volume: Manifest, share: Share, done: Plan, failed: Callable[[str], Plan]) -> ShareWork | None:
    """What the class asked to be done with the directory of a volume that is deleted; None if it stays."""
    options, deadline_s = mount_options(volume), copied_within_s(volume["spec"]["capacity"]["storage"])
    on_delete = share.on_delete.lower()
    if on_delete == RETAIN:
        return None
    if on_delete == ARCHIVE:
        arguments = (share.sub_dir, f"archived-{share.sub_dir}")
        return on_share(share, "archive", arguments, options, deadline_s, done, failed)
    return on_share(share, "remove", (share.sub_dir,), options, deadline_s, done, failed)


class ShareSources:
    """Volumes of shares, and their snapshots."""

    def of_volume(self, volume: Manifest, root: str) -> Origin | None:
        share = shares.of_volume(volume)
        return None if share is None else Origin(share.sub_dir, share=share)

    def of_content(self, content: Manifest, root: str) -> Origin | None:
        if content["spec"]["driver"] != shares.DRIVER:
            return None
        snapshot = shares.of_snapshot(content["status"]["snapshotHandle"])
        return None if snapshot is None else Origin(snapshot.archive, share=snapshot.share)
