"""The cluster's own authority and what it signs."""

import ssl
import stat
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from holdfast.apiserver.auth.signing import SigningKey
from holdfast.cluster import certificates
from holdfast.cluster.home import Home

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    certificates.ensure(home, NOW, ["n1"], ["10.96.0.1"])
    return home


def certificate(home, name):
    return x509.load_pem_x509_certificate(certificates.pair(home, name).certificate.read_bytes())


def test_keys_and_token_are_readable_by_their_owner_only(home):
    private = [home.admin_token, *home.pki.glob("*.key")]
    assert len(private) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_the_serving_certificate_holds_every_name_clients_use(home):
    names = certificate(home, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "kubernetes.default.svc.cluster.local" in names.get_values_for_type(x509.DNSName)
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "::1", "10.96.0.1"}


@pytest.mark.parametrize(
    ("name", "user", "group"),
    [("admin", "kubernetes-admin", "system:masters"), ("node-n1", "system:node:n1", "system:nodes")],
)
def test_client_certificates_say_user_and_group(home, name, user, group):
    subject = certificate(home, name).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == user
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == group


def test_a_second_start_keeps_what_is_there_and_adds_what_is_new(home):
    before = {path.name: path.read_bytes() for path in home.pki.iterdir()}
    token = home.admin_token.read_bytes()
    certificates.ensure(home, NOW, ["n1", "n2"], ["10.96.0.1"])
    after = {path.name: path.read_bytes() for path in home.pki.iterdir()}
    assert home.admin_token.read_bytes() == token
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"node-n2.crt", "node-n2.key"}


def test_d19_the_serving_certificate_follows_the_servers_addresses(home):
    admin = certificates.pair(home, "admin").certificate.read_bytes()
    certificates.ensure(home, NOW, ["n1"], ["10.96.0.1", "10.245.0.1"])
    names = certificate(home, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "10.245.0.1" in {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert certificates.pair(home, "admin").certificate.read_bytes() == admin


def test_the_key_of_the_service_accounts_is_made_when_asked_for_and_kept(home):
    path = home.pki / "sa.key"
    assert not path.exists()
    made = certificates.service_account_key(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert certificates.service_account_key(home) == made
    signed = SigningKey(lambda: made).sign(b"{}")
    assert SigningKey(lambda: certificates.service_account_key(home)).verified(signed) == b"{}"


def test_openssl_accepts_the_chain(home):
    context = ssl.create_default_context(cafile=str(home.ca_certificate))
    files = certificates.pair(home, "apiserver")
    context.load_cert_chain(files.certificate, files.key)
    server, client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(files.certificate, files.key)
    near = context.wrap_bio(server, client, server_hostname="localhost")
    far = serving.wrap_bio(client, server, server_side=True)
    for _ in range(4):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert near.getpeercert()["subject"]
