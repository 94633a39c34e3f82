"""How others may check tokens by themselves: the issuer's discovery document and its key (A218)."""

from __future__ import annotations

import msgspec

from holdfast.wire.messages import Response

from .claims import ISSUER
from .signing import ALGORITHM, SigningKey

CONFIGURATION_PATH, KEYS_PATH = "/.well-known/openid-configuration", "/openid/v1/jwks"
CACHED = (("Cache-Control", "public, max-age=3600"),)


def handle(path: str, address: str, key: SigningKey) -> Response | None:
    """`address` is the server's `HOST:PORT`. None for any other path."""
    if path == CONFIGURATION_PATH:
        configuration = {
            "issuer": ISSUER,
            "jwks_uri": f"https://{address}{KEYS_PATH}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }
        return Response(200, msgspec.json.encode(configuration), "application/json", CACHED)
    if path == KEYS_PATH:
        return Response(200, msgspec.json.encode({"keys": [key.public()]}), "application/jwk-set+json", CACHED)
    return None
