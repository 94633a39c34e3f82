"""The cluster's own authority and what it signs."""

import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from holdfast.apiserver.auth.signing import SigningKey
from holdfast.cluster import certificates
from holdfast.cluster.home import Damaged, Home

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
    files = certificates.pair(home, "apiserver")
    assert shake_hands(home.ca_certificate, (files.certificate, files.key))["subject"]


def shake_hands(authority, files):
    """What a client that trusts `authority` has learnt of a server with those files."""
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    server, client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*files)
    near = context.wrap_bio(server, client)
    far = serving.wrap_bio(client, server, server_side=True)
    for _ in range(4):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return near.getpeercert()


OF_ANOTHER = (
    b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAAAAAAAAAAAAAA\n"
    b"-----END PRIVATE KEY-----\n"
)
LATE = NOW + certificates.LIFETIME * 0.7


def names_of(certificate):
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(each.value) for each in found]


def test_a_start_in_the_last_third_of_their_life_makes_all_of_them_anew(home):
    names = ["ca", "apiserver", "admin", "apiserver-client", "node-n1"]
    before = {name: certificate(home, name) for name in names}
    certificates.ensure(home, LATE, ["n1"], ["10.96.0.1"])
    for name in names:
        made = certificate(home, name)
        assert made.not_valid_before_utc <= LATE
        assert made.not_valid_after_utc == LATE + certificates.LIFETIME
        assert made.subject == before[name].subject
        assert (made.public_key() == before[name].public_key()) == (name == "ca")
    for name in ("apiserver", "node-n1"):
        assert names_of(certificate(home, name)) == names_of(before[name])
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.pki.glob("*.pem")} == {0o600}
    assert not certificates.renew(home, LATE), "there is nothing left to do"


def test_a_start_before_leaves_them_as_they_are(home):
    before = {path.name: path.read_bytes() for path in home.pki.iterdir()}
    certificates.ensure(home, NOW + certificates.LIFETIME * 0.6, ["n1"], ["10.96.0.1"])
    assert {path.name: path.read_bytes() for path in home.pki.iterdir()} == before


def test_only_what_is_due_is_renewed(home):
    certificates.ensure(home, NOW + certificates.LIFETIME * 0.5, ["n1", "n2"], ["10.96.0.1"])
    assert certificates.renew(home, LATE) == ["ca", "admin", "apiserver", "apiserver-client", "node-n1"]
    assert certificates.pair(home, "node-n2").certificate.name == "node-n2.crt"


def test_renewed_ones_prove_themselves_to_who_knows_the_authority_as_it_was(tmp_path):
    """As do old ones to who knows the new one: machines and kubeconfigs elsewhere do not change at the same moment."""
    now = datetime.now(UTC)
    home = Home(tmp_path / "home")
    home.make()
    certificates.ensure(home, now - certificates.LIFETIME * 0.7, ["n1"], ["10.96.0.1"])
    old_authority = tmp_path / "ca.crt"
    old_authority.write_bytes(home.ca_certificate.read_bytes())
    node = certificates.pair(home, "node-n1")
    old_node = [tmp_path / "node.crt", tmp_path / "node.key"]
    for copy, path in zip(old_node, (node.certificate, node.key), strict=True):
        copy.write_bytes(path.read_bytes())
    assert "ca" in certificates.renew(home, now)
    new = certificates.pair(home, "apiserver")
    for authority, files in ((old_authority, (new.certificate, new.key)), (home.ca_certificate, old_node)):
        assert shake_hands(authority, files)["subject"]


def test_a_renewed_serving_certificate_still_follows_the_servers_addresses(home):
    certificates.ensure(home, LATE, ["n1"], ["10.96.0.1"])
    certificates.ensure(home, LATE, ["n1"], ["10.245.0.1"])
    assert "10.245.0.1" in names_of(certificate(home, "apiserver"))
    assert "10.96.0.1" not in names_of(certificate(home, "apiserver"))


def test_cut_off_while_it_renews_a_pair_is_the_old_or_the_new_one(home, monkeypatch):
    """The new pair is there with one rename; what is left of the old one is no longer looked at."""
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_remove", lambda *arguments: None)
        certificates.renew(home, LATE)
    assert (home.pki / "admin.crt").exists()
    files = certificates.pair(home, "admin")
    assert files.certificate == files.key == home.pki / "admin.pem"
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(files.certificate, files.key)
    certificates.ensure(home, LATE, ["n1"], ["10.245.0.1"])
    assert "10.245.0.1" in names_of(certificate(home, "apiserver")), "nor is it when that one has to go"


def test_a_machine_that_has_joined_makes_none_itself(home):
    certificates.pair(home, "ca").key.unlink()
    assert certificates.renew(home, LATE) == []


def test_texts_are_the_same_for_one_file_and_for_two(home):
    before = certificates.pair(home, "admin").texts()
    certificates.write_whole(home, "admin", *(text.encode() for text in before))
    assert certificates.pair(home, "admin").certificate == home.pki / "admin.pem"
    assert certificates.pair(home, "admin").texts() == before
    assert not (home.pki / "admin.key").exists()


@pytest.mark.parametrize("text", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB", b"\xff\xfe\x00", OF_ANOTHER])
@pytest.mark.parametrize("file", ["admin.crt", "apiserver.key", "node-n1.crt"])
def test_what_was_cut_off_by_a_power_failure_is_made_anew(home, file, text):
    (home.pki / file).write_bytes(text)
    certificates.ensure(home, NOW, ["n1"], ["10.96.0.1"])
    assert all(certificates.pair(home, name).is_whole for name in ("admin", "apiserver", "node-n1"))


def test_a_token_and_an_accounts_key_that_were_cut_off_are_made_anew(home):
    home.admin_token.write_text("")
    (home.pki / "sa.key").write_text("")
    certificates.ensure(home, NOW, ["n1"], ["10.96.0.1"])
    assert len(home.admin_token.read_text().strip()) == 43
    assert certificates.service_account_key(home).startswith(b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("")])
def test_an_authoritys_certificate_is_made_anew_of_its_key_and_what_it_signed_stays_good(home, harm):
    before = {path.name: path.read_bytes() for path in home.pki.iterdir()}
    harm(home.ca_certificate)
    certificates.ensure(home, NOW, ["n1"], ["10.96.0.1"])
    assert {path.name: path.read_bytes() for path in home.pki.iterdir()} == before
    assert shake_hands(home.ca_certificate, (home.pki / "apiserver.crt", home.pki / "apiserver.key"))


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("")])
def test_an_authority_whose_key_is_lost_is_not_replaced_behind_anybodys_back(home, harm):
    harm(home.pki / "ca.key")
    with pytest.raises(Damaged, match=r"ca.key is missing or damaged: put a copy of it back; or remove .*ca.crt"):
        certificates.ensure(home, NOW, ["n1"], ["10.96.0.1"])
    home.ca_certificate.unlink()
    certificates.ensure(home, NOW, ["n1"], ["10.96.0.1"])
    assert shake_hands(home.ca_certificate, (home.pki / "apiserver.crt", home.pki / "apiserver.key"))


def test_what_was_made_while_the_clock_was_ahead_is_made_anew_once_it_is_right(home):
    certificates.ensure(home, NOW - timedelta(days=365), ["n1"], ["10.96.0.1"])
    assert certificate(home, "ca").not_valid_before_utc < NOW - timedelta(days=365)
    assert certificate(home, "apiserver").not_valid_before_utc < NOW - timedelta(days=365)
