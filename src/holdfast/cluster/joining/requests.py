"""One certificate by way of the API: a key made here, a request for it, the answer awaited.

The key is on disk before the request is made, and a request is named after what it asks for: so a run that was cut off
finds both again. Certificate and key take the place of those before as one file, and each has a key of its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.api.certificates.certificate_signing_request import (
    APPROVED,
    CERTIFICATE_SIGNING_REQUESTS,
    DENIED,
    FAILED,
)
from holdfast.api.conditions import condition, is_true
from holdfast.api.errors import AlreadyExists, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.cluster.certificates import KeyPair, whole_pair, write_whole
from holdfast.cluster.home import Home
from holdfast.cluster.lifetimes import is_due
from holdfast.cluster.private_files import write_private
from holdfast.world import Clock

from .refusal import CannotJoin

if TYPE_CHECKING:
    from cryptography import x509

WAIT_S = 60.0
ASK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate of the node `name` from one of Kubernetes' signers."""

    name: str
    file: str
    """What the pair is called (`certificates.pair`)."""
    signer: str
    usages: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """DNS names."""


def is_good(files: KeyPair, now: datetime) -> bool:
    """Whether there is a certificate that holds for long enough, and the key to it."""
    return still_holds(files, now) and not is_due(files.certificate.read_bytes(), now)


def still_holds(files: KeyPair, now: datetime) -> bool:
    """Whether it proves anything today: enough to ask for the next one with."""
    if not files.exists:
        return False
    found = _parsed(files.certificate.read_bytes())
    if found.public_key() != _loaded(files.key.read_bytes()).public_key():
        return False
    return found.not_valid_before_utc <= now < found.not_valid_after_utc - timedelta(minutes=1)


async def certificate(client: Client, home: Home, wanted: Wanted, clock: Clock) -> None:
    """Asks, waits, and puts it with its key in the place of the pair before. Raises CannotJoin, ApiError, OSError."""
    asked_with = home.pki / f"{wanted.file}.next.key"
    key = _key(asked_with, whole_pair(home, wanted.file))
    request, name = _request(key, wanted), _name(key, wanted)
    manifest: Manifest = {
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": wanted.signer,
            "usages": [*wanted.usages],
        },
    }
    try:
        answer = await client.create(CERTIFICATE_SIGNING_REQUESTS, manifest)
    except AlreadyExists:
        answer = await client.get(CERTIFICATE_SIGNING_REQUESTS, name)
    encoded = await _issued(client, answer, clock)
    text = base64.b64decode(encoded)
    if _parsed(text).public_key() != key.public_key():
        raise CannotJoin(
            f"the certificate in {name} is for another key: kubectl delete csr {name} there, then this again"
        )
    write_whole(home, wanted.file, text, asked_with.read_bytes())
    asked_with.unlink(missing_ok=True)


async def _issued(client: Client, request: Manifest, clock: Clock) -> str:
    """The certificate as it is in the object, base64."""
    name, until = request["metadata"]["name"], clock.monotonic_s() + WAIT_S
    while True:
        if encoded := (request.get("status") or {}).get("certificate"):
            return str(encoded)
        for kind in (DENIED, FAILED):
            if is_true(request, kind):
                why = (condition(request, kind) or {}).get("message") or "no reason is given"
                raise CannotJoin(f"{name} was {kind.lower()} ({why}): kubectl delete csr {name} there, then this again")
        if clock.monotonic_s() >= until:
            raise CannotJoin(_kept_waiting(request))
        await clock.sleep(ASK_EVERY_S)
        try:
            request = await client.get(CERTIFICATE_SIGNING_REQUESTS, name)
        except NotFound:
            raise CannotJoin(f"{name} was deleted before it was answered: run this again") from None


def _kept_waiting(request: Manifest) -> str:
    name = request["metadata"]["name"]
    if is_true(request, APPROVED):
        return f"{name} is approved, but nobody signs: are the controllers up there? Then run this again"
    return (
        f"nobody has approved {name} within {WAIT_S:.0f} s: kubectl describe csr {name} there says why, "
        f"kubectl certificate approve {name} does it by hand; then run this again"
    )


def _name(key: Any, wanted: Wanted) -> str:
    """The same for the same key and names."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    parts = [public, wanted.signer.encode(), *(each.encode() for each in (*wanted.names, *wanted.addresses))]
    return f"node-csr-{wanted.name}-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:12]}"


def _request(key: Any, wanted: Wanted) -> bytes:
    """PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{wanted.name}"),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if others := _alternatives(wanted.names, wanted.addresses):
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _alternatives(names: Sequence[str], addresses: Sequence[str]) -> list[x509.GeneralName]:
    from cryptography import x509

    return [*map(x509.DNSName, names), *(x509.IPAddress(ip_address(address)) for address in addresses)]


def _key(path: Path, current: Path) -> Any:
    """The private key to ask with: the one that was asked with already, unless its certificate came; else a new one."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    try:
        begun = path.read_bytes()
    except FileNotFoundError:
        begun = b""
    if begun and not (current.exists() and begun in current.read_bytes()):
        return _loaded(begun)
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _loaded(text: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(text, None)


def _parsed(text: bytes) -> x509.Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(text)
