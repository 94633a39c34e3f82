"""What objects were like, version by version, as far back as any view of them may lie."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.api.resource import Manifest


@dataclass(slots=True)
class _Versions:
    """Of one object. `manifests[i]` was so from `revisions[i]` on; None while there was none."""

    revisions: list[int] = field(default_factory=lambda: [0])
    manifests: list[Manifest | None] = field(default_factory=lambda: [None])

    def at(self, revision: int) -> int:
        """Which version was there at a revision."""
        return max(bisect_right(self.revisions, revision) - 1, 0)


class Past:
    """Objects by kind and key, `namespace/name`."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, _Versions]] = defaultdict(dict)

    def note(self, kind: str, key: str, revision: int, manifest: Manifest | None, oldest: int = 0) -> None:
        """A change. Nobody will ask for what was before the revision `oldest`."""
        versions = self._kinds[kind].setdefault(key, _Versions())
        versions.revisions.append(revision)
        versions.manifests.append(manifest)
        if forgotten := versions.at(oldest):
            del versions.revisions[:forgotten], versions.manifests[:forgotten]

    def now(self, kind: str, key: str) -> Manifest | None:
        versions = self._kinds[kind].get(key)
        return versions.manifests[-1] if versions else None

    def all_now(self, kind: str) -> Iterator[Manifest]:
        for versions in self._kinds[kind].values():
            if (manifest := versions.manifests[-1]) is not None:
                yield manifest

    def since(self, kind: str, key: str, oldest: int) -> list[Manifest | None]:
        """All that a view not older than `oldest` may show of one object, the newest first."""
        versions = self._kinds[kind].get(key)
        return versions.manifests[versions.at(oldest) :][::-1] if versions else [None]

    def views(self, kind: str, prefix: str, oldest: int) -> Iterator[list[Manifest]]:
        """All that a view not older than `oldest` may show of the objects whose keys begin so, the newest first."""
        objects = {key: versions for key, versions in self._kinds[kind].items() if key.startswith(prefix)}
        cuts = {oldest, *(one for versions in objects.values() for one in versions.revisions if one > oldest)}
        for cut in sorted(cuts, reverse=True):
            seen = (versions.manifests[versions.at(cut)] for versions in objects.values())
            yield [manifest for manifest in seen if manifest is not None]


class Views:
    """How new the control plane's view of each kind was, and when."""

    def __init__(self, acting_s: float) -> None:
        """`acting_s` is the longest from a decision to the change it leads to."""
        self._acting_s = acting_s
        self._noted: deque[tuple[float, dict[str, int]]] = deque([(0.0, {})])

    def note(self, at_s: float, revisions: Mapping[str, int]) -> None:
        """Views only become newer: one that was begun anew, after a restart, has not shown anything yet."""
        last = self._noted[-1][1]
        revisions = {kind: max(revision, last.get(kind, 0)) for kind, revision in revisions.items()}
        if revisions != last:
            self._noted.append((at_s, revisions))

    def oldest(self, kind: str, at_s: float) -> int:
        """The oldest revision at which whoever acts now may have seen the objects of a kind."""
        while len(self._noted) > 1 and self._noted[1][0] <= at_s - self._acting_s:
            self._noted.popleft()
        return self._noted[0][1].get(kind, 0)
