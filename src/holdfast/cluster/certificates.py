"""The cluster's own certificate authority, and everything signed by it.

Made at the first start and anew in the last third of their lives; keys are 0600 and never leave the data directory.
P-256 throughout: cheap to make and to serve with.
"""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .home import Damaged, Home
from .lifetimes import is_due
from .private_files import write_private

if TYPE_CHECKING:
    from cryptography import x509

LIFETIME = timedelta(days=3650)
_KEY, _KEY_END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"

SERVICE_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, as files; what was renewed is one file, so that no crash parts them."""

    certificate: Path
    key: Path

    @property
    def exists(self) -> bool:
        return self.certificate.exists() and self.key.exists()

    @property
    def is_whole(self) -> bool:
        """Whether both can be read and belong together: what was just written may be cut off by a power failure."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_cert_chain(self.certificate, self.key, password=str)  # asks nobody
        except (OSError, ValueError):
            return False
        return True

    def texts(self) -> tuple[str, str]:
        """Certificate and key as PEM. Raises OSError."""
        text = self.certificate.read_text()
        if self.key != self.certificate:
            return text, self.key.read_text()
        certificate, begin, key = text.partition(_KEY)
        return certificate, begin + key


def _is_key(text: str) -> bool:
    return 0 <= text.find(_KEY) < text.find(_KEY_END)


def _has_key(path: Path) -> bool:
    return path.exists() and _is_key(path.read_text(errors="replace"))


def pair(home: Home, name: str) -> KeyPair:
    """Where the certificate called `name` lives: `ca`, `apiserver`, `admin`, `apiserver-client`, `node-NAME`."""
    if name == "ca":
        return KeyPair(home.ca_certificate, home.pki / "ca.key")
    if (whole := whole_pair(home, name)).exists():
        return KeyPair(whole, whole)
    return KeyPair(home.pki / f"{name}.crt", home.pki / f"{name}.key")


def whole_pair(home: Home, name: str) -> Path:
    """Where the certificate called `name` and its key are one file, if they are."""
    return home.pki / f"{name}.pem"


def write_whole(home: Home, name: str, certificate: bytes, key: bytes) -> None:
    """Puts a certificate and its key, both PEM, in the place of the pair that was there: both or neither."""
    write_private(whole_pair(home, name), certificate + key)
    _remove(home, f"{name}.crt", f"{name}.key")


def _remove(home: Home, *files: str) -> None:
    for file in files:
        (home.pki / file).unlink(missing_ok=True)


def serving_pair(home: Home, node_name: str) -> KeyPair:
    """What a node's agent shows to those who call it: a pair for that alone on a machine that has joined."""
    own = pair(home, f"node-{node_name}-serving")
    return own if own.exists else pair(home, f"node-{node_name}")


def service_account_key(home: Home) -> bytes:
    """The key that signs tokens of service accounts, as PEM; made when first asked for. Blocks for that long.

    Another one is made if it was cut off: what it has signed is lost with it.
    """
    path = home.pki / "sa.key"
    if not _has_key(path):
        from holdfast.apiserver.auth.signing import new_key

        write_private(path, new_key())
    return path.read_bytes()


def ensure(home: Home, now: datetime, node_names: Sequence[str], server_addresses: Sequence[str]) -> None:
    """Makes whatever is missing or cut off: authority, serving certificate, clients, nodes, the admin's token.

    `server_addresses` are the API server's beyond loopback; when they change, so does its certificate. Raises Damaged
    if the authority's key is lost and somebody may still trust it.
    """
    if not (home.admin_token.exists() and home.admin_token.read_text(errors="replace").strip()):
        write_private(home.admin_token, secrets.token_urlsafe(32).encode() + b"\n")
    _check_authority(home)
    _forget_broken(home)
    names = [*SERVICE_NAMES, "127.0.0.1", "::1", *server_addresses]
    _forget_unless_for(home, names)
    renew(home, now)
    wanted = ["apiserver", "admin", "apiserver-client", *(f"node-{name}" for name in node_names)]
    if pair(home, "ca").exists and all(pair(home, name).exists for name in wanted):
        return
    authority = _Authority(home, now)
    authority.issue("apiserver", "kube-apiserver", "", server_names=names)
    authority.issue("admin", "kubernetes-admin", "system:masters")
    authority.issue("apiserver-client", "kube-apiserver-kubelet-client", "system:masters")
    for name in node_names:
        authority.issue(f"node-{name}", f"system:node:{name}", "system:nodes", server_names=[name, "127.0.0.1", "::1"])


def _check_authority(home: Home) -> None:
    files = pair(home, "ca")
    if files.certificate.exists() and not _has_key(files.key):
        raise Damaged(
            f"{files.key} is missing or damaged: put a copy of it back; or remove {files.certificate}, then"
            " `holdfast up` makes another authority, unknown to machines that have joined and copies of the kubeconfig"
        )


def _forget_broken(home: Home) -> None:
    """And what an authority has signed whose key is lost. Its own certificate can be had from the key."""
    authority = pair(home, "ca")
    if authority.exists and not authority.is_whole:
        authority.certificate.unlink()
    for name in _made(home):
        if not (_has_key(authority.key) and pair(home, name).is_whole):
            _remove(home, f"{name}.pem", f"{name}.crt", f"{name}.key")


def _made(home: Home) -> list[str]:
    """The names of the pairs that the authority has signed."""
    return sorted({path.stem for pattern in ("*.crt", "*.pem") for path in home.pki.glob(pattern)})


def _forget_unless_for(home: Home, names: Sequence[str]) -> None:
    """Removes a serving certificate for other names. They are kept beside it: parsing it would slow the start."""
    path, text = home.pki / "apiserver.names", "".join(f"{name}\n" for name in names)
    if path.exists() and path.read_text() == text:
        return
    _remove(home, "apiserver.pem", "apiserver.crt", "apiserver.key")
    path.write_text(text)


def renew(home: Home, now: datetime) -> list[str]:
    """Makes anew what is in the last third of its life or past it, and returns the names of that.

    All that they say stays. The authority keeps its key, so what it has signed stays good, and who knows it as it was
    can go on until its end. Nothing happens on a machine that has joined. Blocks, mostly for a few small reads.
    """
    if not pair(home, "ca").exists:
        return []
    due = [name for name in ("ca", *_made(home)) if _is_due(pair(home, name), now)]
    if due:
        authority = _Authority(home, now)
        for name in due:
            authority.renew(name)
    return due


def _is_due(files: KeyPair, now: datetime) -> bool:
    return files.exists and is_due(files.certificate.read_bytes(), now)


class _Authority:
    """Loads or makes the authority; signs what is missing."""

    def __init__(self, home: Home, now: datetime) -> None:
        self._home = home
        self._from = now - timedelta(minutes=5)
        self._until = now + LIFETIME
        files = pair(home, "ca")
        if files.exists:
            self._load(files)
        else:
            self._create(files)

    def _load(self, files: KeyPair) -> None:
        from cryptography import x509

        self._certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        self._key = _load_key(files.key)

    def _create(self, files: KeyPair) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = _load_key(files.key) if _has_key(files.key) else ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._of_itself()
        _save(files, self._certificate, self._key)

    def _of_itself(self) -> x509.Certificate:
        from cryptography import x509

        name = _name("holdfast-ca", "")
        builder = self._builder(name, name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        return self._sign(builder)

    def renew(self, file: str) -> None:
        """Signs what is in that certificate once more: its own, or another one for a new key."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding

        if file == "ca":
            self._certificate = self._of_itself()
            write_private(self._home.ca_certificate, self._certificate.public_bytes(Encoding.PEM))
            return
        before = x509.load_pem_x509_certificate(pair(self._home, file).certificate.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(before.subject, self._certificate.subject, key.public_key())
        for extension in before.extensions:
            if extension.oid != x509.SubjectKeyIdentifier.oid:
                builder = builder.add_extension(extension.value, extension.critical)
        write_whole(self._home, file, self._sign(builder).public_bytes(Encoding.PEM), _encoded(key))

    def issue(self, file: str, common_name: str, organization: str, server_names: Sequence[str] = ()) -> None:
        """Signs a client certificate, or with `server_names` one for both sides, unless it exists."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

        files = pair(self._home, file)
        if files.exists:
            return
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(common_name, organization), self._certificate.subject, key.public_key())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if server_names:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_alternative, server_names))), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        _save(files, self._sign(builder.add_extension(issuer, critical=False)), key)

    def _builder(self, subject: x509.Name, issuer: x509.Name, public_key: Any) -> x509.CertificateBuilder:
        from cryptography import x509

        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._from)
            .not_valid_after(self._until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        from cryptography.hazmat.primitives import hashes

        return builder.sign(self._key, hashes.SHA256())


def _name(common_name: str, organization: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(path.read_bytes(), None)


def _encoded(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _save(files: KeyPair, certificate: x509.Certificate, key: Any) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    write_private(files.key, _encoded(key))
    write_private(files.certificate, certificate.public_bytes(Encoding.PEM))
