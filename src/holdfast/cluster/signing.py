"""Certificates for others, signed with the cluster's own key. Only this process reads the key; the API never has it.

Source: Kubernetes, pkg/controller/certificates/authority.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from holdfast.controllers.certificates.plan import Order

from .certificates import pair
from .home import Home

if TYPE_CHECKING:
    from cryptography import x509

_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED_USAGES = {
    "any": "2.5.29.37.0",
    "server auth": "1.3.6.1.5.5.7.3.1",
    "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3",
    "email protection": "1.3.6.1.5.5.7.3.4",
    "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec end system": "1.3.6.1.5.5.7.3.5",
    "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
    "netscape sgc": "2.16.840.1.113730.4.1",
}


def sign(home: Home, order: Order) -> str:
    """The certificate as PEM: the request's subject, alternative names and key, and nothing else that it says.

    It never outlives the authority. Blocks for a few milliseconds, the first time longer.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    files = pair(home, "ca")
    authority = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    key: Any = load_pem_private_key(files.key.read_bytes(), None)
    request = x509.load_pem_x509_csr(order.request)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(authority.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(order.since)
        .not_valid_after(min(order.until, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if (usage := _key_usage(order.usages)) is not None:
        builder = builder.add_extension(usage, critical=True)
    if extended := sorted({_EXTENDED_USAGES[usage] for usage in order.usages if usage in _EXTENDED_USAGES}):
        identifiers = [x509.ObjectIdentifier(each) for each in extended]
        builder = builder.add_extension(x509.ExtendedKeyUsage(identifiers), critical=False)
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        builder = builder.add_extension(names, critical=not request.subject.rdns)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _key_usage(usages: Collection[str]) -> x509.KeyUsage | None:
    from cryptography import x509

    wanted = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if not wanted:
        return None
    # What is only for enciphering, or deciphering, is so while keys are agreed on: undefined without it (RFC 5280).
    if "key_agreement" not in wanted:
        wanted -= {"encipher_only", "decipher_only"}
    return x509.KeyUsage(**{member: member in wanted for member in dict.fromkeys(_KEY_USAGES.values())})
