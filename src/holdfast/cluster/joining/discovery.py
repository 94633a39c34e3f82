"""Finding out whom to trust, from a bootstrap token and the hash of the authority's key, as kubeadm does.

The token proves that what is told of the cluster was told by somebody who knows the token; the hash, that it is the one
cluster that was meant, even if somebody else knows the token too. Only then is anything trusted.

Source: Kubernetes, cmd/kubeadm/app/discovery/token/token.go.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from holdfast.api.core import bootstrap_token
from holdfast.api.core.bootstrap_token import CLUSTER_INFO, CLUSTER_INFO_NAMESPACE, KUBECONFIG, SIGNATURE, Token
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.errors import ApiError, Forbidden, NotFound, Unauthorized
from holdfast.client import Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.client.remote import RemoteClient
from holdfast.world import Clock

from .refusal import CannotJoin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cryptography import x509

SIGNED_WITHIN_S = 5.0
"""A token that has just been made signs a moment later."""
ASK_EVERY_S = 0.25
ANOTHER_TOKEN = "make another there: holdfast node token"
_HASH = re.compile(r"sha256:[0-9a-fA-F]{64}")


def url_of(server: str) -> str:
    """`HOST:PORT`, or the URL, as URL. Raises CannotJoin."""
    url = server if "://" in server else f"https://{server}"
    if not re.fullmatch(r"https://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d+)?/?", url):
        raise CannotJoin(f"{server} is no address of a cluster: it looks like 192.0.2.10:6443")
    return url.rstrip("/")


def token_of(text: str) -> Token:
    """Raises CannotJoin."""
    if (token := bootstrap_token.parse(text.strip())) is None:
        raise CannotJoin(f"that is no token (one looks like abcdef.0123456789abcdef): {ANOTHER_TOKEN}")
    return token


def hash_of(ca_certificate: str) -> str:
    """Of the public key of a certificate in PEM, as kubeadm's `--discovery-token-ca-cert-hash` has it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _certificate(ca_certificate).public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def check_hash(ca_certificate: str, ca_hash: str) -> None:
    """Raises CannotJoin unless that is the authority's hash."""
    if not _HASH.fullmatch(ca_hash):
        raise CannotJoin(
            f"{ca_hash!r} is no hash of an authority: sha256: and 64 digits, as holdfast node token prints"
        )
    if not hmac.compare_digest(hash_of(ca_certificate), ca_hash.lower()):
        raise CannotJoin(
            "the authority of the cluster there has another hash than --ca-hash: the hash is of another cluster, "
            "or somebody there poses as yours. Take both from the same holdfast node token"
        )


async def discover(url: str, token: Token, ca_hash: str, clock: Clock) -> str:
    """The certificate of the cluster's authority, as PEM: of the cluster at `url`, proven. Raises CannotJoin."""
    async with connected(Connection(server=url, verify=False)) as stranger:
        content = await _signed(stranger, url, token, clock)
    authority = authority_in(content)
    check_hash(authority, ca_hash)
    async with connected(Connection(server=url, ca=authority)) as trusted:
        again = await _information(trusted, url)
    if (again.get("data") or {}).get(KUBECONFIG) != content:
        raise CannotJoin(f"{url} told one thing before it had to prove itself and another after: try again")
    return authority


async def renewed(url: str, authority: str) -> str:
    """The authority's certificate as the cluster tells it now: another one only if it is for the same key.

    Raises CannotJoin.
    """
    async with connected(Connection(server=url, ca=authority)) as trusted:
        content = ((await _information(trusted, url)).get("data") or {}).get(KUBECONFIG) or ""
    told = authority_in(content)
    return told if hash_of(told) == hash_of(authority) else authority


async def _signed(client: RemoteClient, url: str, token: Token, clock: Clock) -> str:
    """What is told of the cluster, if it is signed with the token."""
    until = clock.monotonic_s() + SIGNED_WITHIN_S
    while True:
        data = (await _information(client, url)).get("data") or {}
        content, signature = data.get(KUBECONFIG) or "", data.get(f"{SIGNATURE}{token.id}")
        if signature is not None:
            break
        if clock.monotonic_s() >= until:
            raise CannotJoin(f"the cluster has no token {token.id}: it is over, or of another cluster; {ANOTHER_TOKEN}")
        await clock.sleep(ASK_EVERY_S)
    if not bootstrap_token.is_signed(content, signature, token):
        raise CannotJoin(
            f"the token is wrong after the dot, or somebody at {url} poses as the cluster: "
            "copy the command of holdfast node token once more"
        )
    return content


async def _information(client: RemoteClient, url: str) -> dict[str, Any]:
    try:
        return await client.get(CONFIG_MAPS, CLUSTER_INFO, CLUSTER_INFO_NAMESPACE)
    except Unreachable as error:
        raise CannotJoin(unreachable(url, error)) from error
    except (NotFound, Forbidden, Unauthorized) as error:
        raise CannotJoin(f"what answers at {url} is no cluster that machines can join: {error}") from error
    except ApiError as error:
        raise CannotJoin(f"{url} does not tell about its cluster ({error}): try again") from error


def unreachable(url: str, error: Unreachable) -> str:
    """What to do about it, in one line."""
    if "certificate verify failed" in str(error).lower():
        return (
            f"{url} cannot prove that it is the cluster ({error}): "
            "start it with --listen and the address that this machine knows it by"
        )
    return (
        f"no answer from {url} ({error}): is it up there with --listen (holdfast up --listen ADDRESS), "
        "and does nothing between the machines hold the port back?"
    )


def authority_in(content: str) -> str:
    """The certificate in a kubeconfig, as PEM. Raises CannotJoin."""
    import yaml

    try:
        cluster = yaml.safe_load(content)["clusters"][0]["cluster"]
        text = base64.b64decode(cluster["certificate-authority-data"]).decode()
        _certificate(text)
    except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise CannotJoin(f"what the cluster tells of itself names no authority: {error}") from error
    return text


def _certificate(text: str) -> x509.Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(text.encode())


@asynccontextmanager
async def connected(connection: Connection) -> AsyncIterator[RemoteClient]:
    client = RemoteClient(connection)
    try:
        yield client
    finally:
        await client.close()
