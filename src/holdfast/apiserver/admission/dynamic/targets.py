"""Where a webhook is: its URL, or the service that leads to it (A246).

Upstream asks the service's own address, which the kernel leads on; here an endpoint is asked at once, since the daemon
need not be where services are routed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.errors import show
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache

SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask; what of it is the same shares its connections."""

    origin: str
    """`https://HOST[:PORT]`, whose host is the name that the certificate must have."""
    path: str
    ca_bundle: str = ""
    """PEM, as it is in the configuration: base64."""
    service: tuple[str, str, int] | None = None
    """Namespace, name and port, if it is reached by way of a service."""

    def shown(self, timeout_s: int) -> str:
        """The URL as errors show it."""
        return f"{self.origin}{self.asked(timeout_s)}"

    def asked(self, timeout_s: int) -> str:
        return f"{self.path}?timeout={timeout_s}s"


def target_of(config: Manifest) -> Target:
    """Of a `clientConfig` that is valid."""
    bundle = config.get("caBundle") or ""
    if service := config.get("service"):
        namespace, name, port = service["namespace"], service["name"], service.get("port") or 443
        origin = f"https://{name}.{namespace}.svc:{port}"
        return Target(origin, service.get("path") or "/", bundle, (namespace, name, port))
    parts = urlsplit(config.get("url") or "")
    return Target(f"{parts.scheme}://{parts.netloc}", parts.path or "/", bundle)


def endpoint(cache: Cache, chance: Random, namespace: str, name: str, port: int) -> tuple[str, int]:
    """Host and port behind a port of a service. Raises LookupError, which says what there is not."""
    stored = cache.of(SERVICES).get(namespace, name)
    if stored is None:
        raise LookupError(f"service {show(name)} not found")
    service = stored.manifest
    if service["spec"].get("type") == "ExternalName":
        return service["spec"]["externalName"], port
    found = next((each for each in service["spec"].get("ports") or () if each["port"] == port), None)
    if found is None:
        raise LookupError(f"no service port {port} found for service {show(name)}")
    ready = sorted(_ready(cache, namespace, name, found.get("name") or ""))
    if not ready:
        raise LookupError(f"no endpoints available for service {show(name)}")
    return chance.choice(ready)


def _ready(cache: Cache, namespace: str, name: str, port: str) -> Iterator[tuple[str, int]]:
    for stored in cache.of(ENDPOINT_SLICES).select(namespace):
        slice = stored.manifest
        if (slice["metadata"].get("labels") or {}).get(SERVICE_NAME) != name:
            continue
        numbers = [each["port"] for each in slice.get("ports") or () if (each.get("name") or "") == port]
        for each in slice.get("endpoints") or ():
            if (each.get("conditions") or {}).get("ready") is not False:
                yield from ((address, number) for number in numbers for address in each["addresses"])
