"""A certificate request as the rules look at it: the subject, the alternative names, nothing of its bytes."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from holdfast.api.resource import Manifest


class NotReadable(Exception):
    """The bytes are no certificate, or no request for one; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: common name, organizations, and alternative names by their sort."""

    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def encoded_request(request: Manifest) -> bytes:
    """The PEM text inside `spec.request`."""
    return base64.b64decode(request["spec"]["request"])


def asked(request: Manifest) -> Asked:
    """What the object's `spec.request` asks for. Raises NotReadable."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        parsed = x509.load_pem_x509_csr(encoded_request(request))
        names = [str(each.value) for each in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        groups = [str(each.value) for each in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        try:
            alternative = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            alternative = x509.SubjectAlternativeName([])
    except ValueError as error:
        raise NotReadable(str(error)) from error
    of = alternative.get_values_for_type
    return Asked(
        names[-1] if names else "",  # of several Go keeps the last
        tuple(groups),
        tuple(of(x509.DNSName)),
        tuple(map(str, of(x509.IPAddress))),
        tuple(of(x509.RFC822Name)),
        tuple(of(x509.UniformResourceIdentifier)),
    )
