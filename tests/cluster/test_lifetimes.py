"""When a certificate ends, as read without the library that makes them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from holdfast.cluster.lifetimes import is_due, lifetime

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CURVE = ec.generate_private_key(ec.SECP256R1())
MODULUS = rsa.generate_private_key(65537, 2048)


def pem(since: datetime, until: datetime, key=CURVE, names: int = 1) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"n{number}") for number in range(names)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("key", [CURVE, MODULUS], ids=["EC", "RSA"])
@pytest.mark.parametrize("names", [1, 10, 40], ids=lambda number: f"{number} names in the subject")
@pytest.mark.parametrize(
    "until",
    [NOW + timedelta(minutes=1), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)],
)
def test_it_is_what_the_library_says(key, names, until):
    text = pem(NOW, until, key, names)
    known = x509.load_pem_x509_certificate(text)
    found = lifetime(text)
    assert (found.since, found.until) == (known.not_valid_before_utc, known.not_valid_after_utc) == (NOW, until)


def test_of_the_last_century_too():
    found = lifetime(pem(datetime(1951, 2, 3, tzinfo=UTC), datetime(1999, 2, 3, tzinfo=UTC)))
    assert (found.since.year, found.until.year) == (1951, 1999)


def test_a_key_beside_it_and_certificates_after_it_do_not_matter():
    key = CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    text = key + pem(NOW, NOW + timedelta(days=1)) + pem(NOW, NOW + timedelta(days=2))
    assert lifetime(text).until == NOW + timedelta(days=1)


def test_a_part_of_it():
    assert lifetime(pem(NOW, NOW + timedelta(days=10))).at(0.7) == NOW + timedelta(days=7)


def test_what_is_in_its_last_third_is_due():
    text = pem(NOW, NOW + timedelta(days=3))
    assert not is_due(text, NOW + timedelta(days=2) - timedelta(seconds=1))
    assert is_due(text, NOW + timedelta(days=2))
    assert is_due(text, NOW + timedelta(days=4))


@pytest.mark.parametrize("text", [b"", b"nothing", b"\xff\xfe", pem(NOW, NOW + timedelta(days=1))[:200]])
def test_what_is_no_certificate(text):
    with pytest.raises(ValueError, match="certificate"):
        lifetime(text)


@pytest.mark.parametrize("length", range(1, 60))
def test_a_certificate_cut_short_inside(length):
    der = ssl.PEM_cert_to_DER_cert(pem(NOW, NOW + timedelta(days=1)).decode())
    with pytest.raises(ValueError):  # noqa: PT011
        lifetime(ssl.DER_cert_to_PEM_cert(der[:length]).encode())
