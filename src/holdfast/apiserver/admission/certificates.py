"""Certificate requests: who asked, who may approve, who may sign (A232, A233)."""

from __future__ import annotations

import base64

from holdfast.api.certificates.certificate_signing_request import (
    CERTIFICATE_SIGNING_REQUESTS,
    FAILED,
    REQUESTOR,
)
from holdfast.api.resource import Manifest
from holdfast.apiserver.auth.authorization import Attributes, Authorizer
from holdfast.apiserver.auth.user import MASTERS
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

_CLIENTS = "kubernetes.io/kube-apiserver-client"


def set_requestor(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Whatever the client says of who asks, it is the user of the call."""
    if old is not None:
        return
    user, spec = call.user, new["spec"]
    said = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra},
    }
    for member in REQUESTOR:
        spec.pop(member, None)
        if said[member]:
            spec[member] = said[member]


def refuse_masters(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Nobody becomes all-powerful by a certificate for clients. Raises Forbidden."""
    spec = new["spec"]
    if old is None and spec["signerName"] == _CLIENTS and MASTERS in _organizations(spec["request"]):
        raise call.forbidden(f"use of {_CLIENTS} signer with {MASTERS} group is not allowed")


def _organizations(request: str) -> list[str]:
    from cryptography.x509 import load_pem_x509_csr
    from cryptography.x509.oid import NameOID

    subject = load_pem_x509_csr(base64.b64decode(request)).subject
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def check_signer(authorizer: Authorizer, call: Call, new: Manifest, old: Manifest | None) -> None:
    """Verdicts and certificates take a right on the signer they are for. Raises Forbidden."""
    if call.resource is not CERTIFICATE_SIGNING_REQUESTS or old is None:
        return
    if call.subresource == "approval":
        verb = "approve"
    elif call.subresource == "status" and _signed(new) != _signed(old):
        verb = "sign"
    else:
        return
    signer = old["spec"]["signerName"]
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        asked = Attributes(verb, CERTIFICATE_SIGNING_REQUESTS.group, "signers", name=name)
        if authorizer.allows(call.user, asked):
            return
    raise call.forbidden(f'user not permitted to {verb} requests with signerName "{signer}"')


def _signed(request: Manifest) -> tuple[object, object]:
    """What only a signer says: the certificate, or that there will be none."""
    status = request.get("status", {})
    failed = [condition for condition in status.get("conditions") or () if condition.get("type") == FAILED]
    return status.get("certificate"), failed
