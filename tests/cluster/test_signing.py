"""What the cluster's authority puts into certificates for others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.controllers.certificates.asking import KEY, pem

from holdfast.api.certificates.usages import USAGES
from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.cluster.signing import sign
from holdfast.controllers.certificates.plan import Order

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("signing") / "home")
    home.make()
    certificates.ensure(home, NOW, [], [])
    return home


def signed(home, *asked, usages=("client auth",), until=NOW + timedelta(days=1)):
    return x509.load_pem_x509_certificate(sign(home, Order(pem(*asked), tuple(usages), NOW, until)).encode())


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_subject_names_key_and_time_are_those_asked_for(home):
    made = signed(home, "jane", ["devs"], ["x.example", "192.0.2.1"])
    assert made.subject.rfc4514_string() == "CN=jane,O=devs"
    assert made.public_key() == KEY.public_key()
    assert (made.not_valid_before_utc, made.not_valid_after_utc) == (NOW, NOW + timedelta(days=1))
    names = extension(made, x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["x.example"]
    assert not names.critical
    authority = x509.load_pem_x509_certificate(home.ca_certificate.read_bytes())
    made.verify_directly_issued_by(authority)


def test_it_is_for_what_it_was_asked_for_and_signs_nothing_itself(home):
    made = signed(home, "jane", usages=["digital signature", "client auth"])
    usage = extension(made, x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert [*extension(made, x509.ExtendedKeyUsage).value] == [ExtendedKeyUsageOID.CLIENT_AUTH]
    basic = extension(made, x509.BasicConstraints)
    assert (basic.critical, basic.value.ca) == (True, False)


def test_extensions_nobody_named_are_left_out(home):
    made = signed(home, "jane")
    for kind in (x509.KeyUsage, x509.SubjectAlternativeName):
        with pytest.raises(x509.ExtensionNotFound):
            extension(made, kind)


def test_without_a_subject_the_names_are_critical(home):
    assert extension(signed(home, "", (), ["x.example"]), x509.SubjectAlternativeName).critical


@pytest.mark.parametrize("usage", USAGES)
def test_every_usage_that_the_api_takes_can_be_signed(home, usage):
    made = signed(home, "jane", usages=[usage])
    assert made.subject.rfc4514_string() == "CN=jane"


def test_it_does_not_outlive_the_authority(home):
    made = signed(home, "jane", until=NOW + 2 * certificates.LIFETIME)
    assert made.not_valid_after_utc == NOW + certificates.LIFETIME
