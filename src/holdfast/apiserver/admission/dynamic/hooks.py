"""Webhooks as the configurations in the store describe them, in the order in which they are called (A247)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Event, ResourceCache

from .targets import Target, target_of


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration."""

    key: str
    """Tells it from all others, whatever their names."""
    webhook: Manifest
    target: Target

    @property
    def name(self) -> str:
        return str(self.webhook["name"])

    @property
    def rules(self) -> Sequence[Manifest]:
        return self.webhook.get("rules") or ()

    @property
    def conditions(self) -> Sequence[Manifest]:
        return self.webhook.get("matchConditions") or ()

    @property
    def is_required(self) -> bool:
        """The request fails if the webhook does."""
        return bool(self.webhook["failurePolicy"] == "Fail")

    @property
    def timeout_s(self) -> int:
        return int(self.webhook["timeoutSeconds"])

    @property
    def is_called_again(self) -> bool:
        """If others have changed the object after it was called."""
        return bool(self.webhook.get("reinvocationPolicy") == "IfNeeded")


class Hooks:
    """All webhooks of one kind of configuration, by the configurations' names; kept up to date."""

    def __init__(self, configurations: ResourceCache) -> None:
        self._configurations = configurations
        self.all: tuple[Hook, ...] = ()
        self._read()
        configurations.follow(self._changed)

    def _changed(self, event: Event) -> None:
        self._read()

    def _read(self) -> None:
        found = sorted((stored.manifest for stored in self._configurations.select()), key=_name)
        self.all = tuple(hook for configuration in found for hook in _hooks(configuration))


def _name(configuration: Manifest) -> str:
    return str(configuration["metadata"]["name"])


def _hooks(configuration: Manifest) -> Iterator[Hook]:
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        yield Hook(f"{_name(configuration)}/{index}", webhook, target_of(webhook["clientConfig"]))
