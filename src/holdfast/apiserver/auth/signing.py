"""The key that signs tokens of service accounts, and JSON Web Tokens in the one form that is used (A218).

Of JWT and JWS only compact RS256 is needed: a header, claims and a signature, each in base64url. A library
would take the signature from the same `cryptography` and compare times with a clock of its own.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEY_BITS = 2048
ALGORITHM = "RS256"


class NotSigned(Exception):
    """The text is no token that this key has signed."""


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""


def new_key() -> bytes:
    """An RSA key as PEM. Takes about a tenth of a second of one core, other threads go on meanwhile."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class SigningKey:
    """An RSA key that is read, or made, when it is first needed: a start must not wait for it."""

    def __init__(self, pem: Callable[[], bytes] = new_key) -> None:
        """`pem` gives the same key each time the server runs; it may block."""
        self._pem = pem
        self._lock = threading.Lock()
        self._key: RSAPrivateKey | None = None
        self._id = ""

    @property
    def is_loaded(self) -> bool:
        return self._key is not None

    def load(self) -> None:
        """Blocks until the key is there; from any thread."""
        self._loaded()

    @property
    def id(self) -> str:
        """The digest of the public half, by which a token names its key."""
        self._loaded()
        return self._id

    def sign(self, claims: bytes) -> str:
        """The token of these claims, which are JSON. The same claims give the same token."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        key = self._loaded()
        header = msgspec.json.encode({"alg": ALGORITHM, "kid": self._id})
        signed = f"{encode(header)}.{encode(claims)}"
        return f"{signed}.{encode(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"

    def verified(self, token: str) -> bytes:
        """The claims of a token that this key has signed. Raises NotSigned."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        signed, _, signature = token.rpartition(".")
        header, _, claims = signed.partition(".")
        try:
            said = msgspec.json.decode(decode(header), type=_Header)
            payload = decode(claims)
            if said.alg != ALGORITHM or said.kid != self.id:
                raise NotSigned("signed by another key")
            self._loaded().public_key().verify(decode(signature), signed.encode(), PKCS1v15(), SHA256())
        except (ValueError, msgspec.MsgspecError, InvalidSignature) as error:
            raise NotSigned("invalid signature") from error
        return payload

    def public(self) -> dict[str, str]:
        """The public half as a JSON Web Key."""
        numbers = self._loaded().public_key().public_numbers()
        return {
            "use": "sig",
            "kty": "RSA",
            "kid": self._id,
            "alg": ALGORITHM,
            "n": encode(_big_endian(numbers.n)),
            "e": encode(_big_endian(numbers.e)),
        }

    def _loaded(self) -> RSAPrivateKey:
        if self._key is not None:
            return self._key
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

        with self._lock:
            if self._key is None:
                # The key is our own: checking its primes would take longer than everything else here.
                key: Any = load_pem_private_key(self._pem(), None, unsafe_skip_rsa_key_validation=True)
                if not isinstance(key, RSAPrivateKey):
                    raise TypeError("the key of the service accounts is no RSA key")
                public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                self._id = encode(hashlib.sha256(public).digest())
                self._key = key
        return self._key


def looks_signed(token: str) -> bool:
    """Whether it has the form of a token, before anything is decoded."""
    return token.startswith("eyJ") and token.count(".") == 2


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Raises ValueError."""
    if not text.isascii() or "=" in text or "+" in text or "/" in text:
        raise ValueError("not base64url")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
