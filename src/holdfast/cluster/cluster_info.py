"""What a newcomer is told of the cluster before it has any credentials: where it is, and who vouches for it.

The ConfigMap is public; that it is true is proven by the signatures which a controller adds, one for each bootstrap
token, to whoever holds that token. The text is a kubeconfig, byte by byte what was signed.
"""

from __future__ import annotations

import base64

from holdfast.api.core.bootstrap_token import CLUSTER_INFO, CLUSTER_INFO_NAMESPACE, KUBECONFIG
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.errors import NotFound
from holdfast.client import Client

_TEXT = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: {url}
  name: ""
contexts: null
current-context: ""
kind: Config
preferences: {{}}
users: null
"""


def text(url: str, ca_certificate: str) -> str:
    """`ca_certificate` is PEM."""
    return _TEXT.format(authority=base64.b64encode(ca_certificate.encode()).decode(), url=url)


async def ensure(client: Client, url: str, ca_certificate: str) -> None:
    """Makes it, or has it tell where the cluster is by now."""
    wanted = text(url, ca_certificate)
    try:
        found = await client.get(CONFIG_MAPS, CLUSTER_INFO, CLUSTER_INFO_NAMESPACE)
    except NotFound:
        metadata = {"name": CLUSTER_INFO, "namespace": CLUSTER_INFO_NAMESPACE}
        await client.create(CONFIG_MAPS, {"metadata": metadata, "data": {KUBECONFIG: wanted}})
        return
    if (found.get("data") or {}).get(KUBECONFIG) != wanted:
        await client.update(CONFIG_MAPS, {**found, "data": {**(found.get("data") or {}), KUBECONFIG: wanted}})
