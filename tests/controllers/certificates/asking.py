"""Certificate requests as objects, of any subject and names."""

from __future__ import annotations

import base64
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(common_name, organizations=(), names=()):
    """`names` are DNS names, addresses, mail addresses and URIs, told apart by their looks."""
    subject = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, each) for each in organizations]
    if common_name:
        subject.append(x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(alternative, names)]), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def alternative(name):
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def request(common_name="jane", organizations=(), names=(), *, conditions=(), certificate="", **spec):
    """The object; members of spec by their names."""
    encoded = base64.b64encode(pem(common_name, organizations, names)).decode()
    status = {"conditions": [*conditions], **({"certificate": certificate} if certificate else {})}
    return {
        "metadata": {"name": "r", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {
            "request": encoded,
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            **spec,
        },
        "status": status,
    }


def condition(kind, at="2026-01-02T03:04:05Z", status="True"):
    return {"type": kind, "status": status, "lastUpdateTime": at}
