"""An image from its registry into the store: what a pull's process does."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from holdfast.node.runtime import Progress, PullProgress

from .compression import BadCompression, decompressed
from .locks import locked_in_turn
from .manifests import BadManifest, Configuration, Descriptor, Manifest, read_configuration
from .references import Reference
from .registry.failures import PullFailed, WrongContent
from .registry.registry import Registry, Resolved
from .store import ImageStore
from .unpack import BadLayer

MOST_DOWNLOADS = 3
MOST_UNPACKING = 2
TELL_EVERY_S = 0.5
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


async def pull(store: ImageStore, reference: Reference, registry: Registry, tell: Progress) -> str:
    """The image's id, once it is here whole. Raises PullFailed in containerd's words.

    Layers that are good stay, whatever happens to the others: the next try needs only those.
    """
    with _telling(f'failed to pull and unpack image "{reference}"'):
        with _telling(f'failed to resolve reference "{reference}"'):
            resolved = await registry.resolve()
        names = {str(reference), f"{reference.name}@{resolved.digest}"}
        if identifier := store.rename(f"{reference.name}@{resolved.digest}", names):
            return identifier
        store.make()
        manifest = await registry.manifest(resolved)
        configuration = await _configuration(registry, resolved, manifest)
        with store.claim(configuration.diff_ids):
            layers = dict(zip(configuration.diff_ids, manifest.layers, strict=True))
            await _Layers(store, registry, resolved, tell).bring(layers)
            return store.keep(configuration, names).id


async def _configuration(registry: Registry, resolved: Resolved, manifest: Manifest) -> Configuration:
    try:
        configuration = read_configuration(await registry.small_blob(resolved, manifest.config))
    except BadManifest as error:
        raise PullFailed(str(error)) from error
    if len(configuration.diff_ids) != len(manifest.layers):
        raise WrongContent("mismatched image rootfs and manifest layers")
    return configuration


class _Layers:
    """The layers of one image on their way."""

    def __init__(self, store: ImageStore, registry: Registry, resolved: Resolved, tell: Progress) -> None:
        self._store = store
        self._registry = registry
        self._resolved = resolved
        self._tell = tell
        self._downloads = asyncio.Semaphore(MOST_DOWNLOADS)
        self._unpacking = asyncio.Semaphore(MOST_UNPACKING)
        self._received_bytes = self._ready = 0

    async def bring(self, layers: dict[str, Descriptor]) -> None:
        """All of them, by diff id. The failure of one does not keep the others from coming."""
        missing = {diff_id: blob for diff_id, blob in layers.items() if self._store.layers.size(diff_id) is None}
        self._ready = len(layers) - len(missing)
        telling = asyncio.ensure_future(self._keep_telling(sum(blob.size_bytes for blob in missing.values()), layers))
        try:
            outcomes = await asyncio.gather(
                *(self._layer(diff_id, blob) for diff_id, blob in missing.items()), return_exceptions=True
            )
        finally:
            telling.cancel()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _layer(self, diff_id: str, blob: Descriptor) -> None:
        """Others who want it meanwhile wait for us, as we do for them."""
        async with locked_in_turn(self._store.layers.lock(diff_id)):
            if self._store.layers.size(diff_id) is None:
                path = self._store.downloads / blob.digest.removeprefix("sha256:")
                try:
                    await self._bring(diff_id, blob, path)
                except OSError as error:
                    if error.errno in _FULL:
                        path.unlink(missing_ok=True)  # others need the room
                    raise PullFailed(f"failed to extract layer {diff_id}: {error.strerror or error}") from error
        self._ready += 1

    async def _bring(self, diff_id: str, blob: Descriptor, path: Path) -> None:
        async with self._downloads:
            await self._registry.download(self._resolved, blob, path, self._arrived)
        async with self._unpacking:
            await self._unpacked(diff_id, path)

    async def _unpacked(self, diff_id: str, path: Path) -> None:
        calling_off = threading.Event()
        unpacking = asyncio.get_running_loop().run_in_executor(None, self._unpack, diff_id, path, calling_off)
        try:
            await asyncio.shield(unpacking)
        except asyncio.CancelledError:
            calling_off.set()
            await asyncio.wait({unpacking})
            raise
        except (BadLayer, BadCompression) as error:
            path.unlink()  # it is what its digest says: it will not get better
            raise WrongContent(f"failed to extract layer {diff_id}: {error}") from error
        path.unlink()

    def _unpack(self, diff_id: str, path: Path, calling_off: threading.Event) -> None:
        with path.open("rb") as file, decompressed(file) as stream:
            self._store.layers.add(diff_id, stream, calling_off)

    def _arrived(self, count: int) -> None:
        self._received_bytes += count

    async def _keep_telling(self, total_bytes: int, layers: dict[str, Descriptor]) -> None:
        told = None
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(TELL_EVERY_S)
                progress = PullProgress(self._received_bytes, total_bytes, self._ready, len(layers))
                if progress != told:
                    self._tell(progress)
                    told = progress


@contextmanager
def _telling(what: str) -> Iterator[None]:
    try:
        yield
    except PullFailed as error:
        raise error.within(what) from error
