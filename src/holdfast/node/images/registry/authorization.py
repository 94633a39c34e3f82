"""How a registry learns who asks: Basic, or Bearer with a token from the server that its challenge names.

Source: CNCF distribution, token authentication specification; RFC 9110, 11.6.1.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from holdfast.node.runtime import Credentials
from holdfast.wire.client import Headers, HttpResponse

from .failures import Broken, Denied

Ask = Callable[[str, Headers], Awaitable[HttpResponse]]
"""GET of a URL, with headers."""

_CHALLENGE = re.compile(
    r'(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)\s+(?=[A-Za-z_]+\s*=)|([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))'
)
_NO_ACCESS = "pull access denied, repository does not exist or may require authorization"


@dataclass(frozen=True, slots=True)
class Challenge:
    """One of the ways a server offers; parameters by their names in small letters."""

    scheme: str
    parameters: dict[str, str]


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class Authorization:
    """The Authorization header of requests to one registry for one repository, learnt from its refusals."""

    def __init__(self, repository: str, credentials: Credentials | None, ask: Ask, *, is_secure: bool) -> None:
        self._repository = repository
        self._credentials = credentials
        self._ask = ask
        self._is_secure = is_secure
        self._value = ""

    @property
    def headers(self) -> Headers:
        return (("Authorization", self._value),) if self._value else ()

    async def answer(self, challenges: str, sent: Headers) -> bool:
        """Takes a refusal, of a request with the headers `sent`, in; whether another try makes sense. Raises Denied."""
        if self._value and ("Authorization", self._value) not in sent:
            return True  # another request has answered it meanwhile
        offered = {challenge.scheme: challenge.parameters for challenge in read_challenges(challenges)}
        if "bearer" in offered:
            if self._value and (why := offered["bearer"].get("error")) == "insufficient_scope":
                raise Denied(f"{_NO_ACCESS}: server message: {why}: authorization failed")
            self._value = f"Bearer {await self._token(offered['bearer'])}"
            return True
        if "basic" in offered:
            if self._credentials is None:
                raise Denied(f"{_NO_ACCESS}: authorization failed: no basic auth credentials")
            if self._value:
                return False
            self._value = _basic(self._credentials)
            return True
        return False

    async def _token(self, parameters: dict[str, str]) -> str:
        realm = parameters.get("realm", "")
        if not realm.startswith("https://") and (self._is_secure or not realm.startswith("http://")):
            raise Denied(f"failed to authorize: the registry names no safe server for tokens: {realm[:100]!r}")
        query = {"scope": parameters.get("scope") or f"repository:{self._repository}:pull"}
        if service := parameters.get("service"):
            query["service"] = service
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        kind = "oauth" if self._credentials else "anonymous"
        headers = (("Authorization", _basic(self._credentials)),) if self._credentials else ()
        answer = await self._ask(url, headers)
        if answer.status != 200:
            is_in_trouble = answer.status == 429 or answer.status >= 500
            raise (Broken if is_in_trouble else Denied)(
                f"failed to authorize: failed to fetch {kind} token: unexpected status from GET request to {url}: "
                f"{status_words(answer.status)}"
            )
        try:
            given = msgspec.json.decode(answer.body, type=_Token)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Denied(f"failed to authorize: failed to fetch {kind} token: {error}") from error
        token = given.token or given.access_token
        if not token or "\n" in token or "\r" in token:
            raise Denied(
                f"failed to authorize: failed to fetch {kind} token: authorization server did not include a token"
            )
        return token


def read_challenges(text: str) -> list[Challenge]:
    """All that a WWW-Authenticate header offers."""
    found: list[Challenge] = []
    if re.fullmatch(r"\s*[A-Za-z-]+\s*", text):  # a scheme alone
        return [Challenge(text.strip().lower(), {})]
    for match in _CHALLENGE.finditer(text):
        scheme, name, quoted, plain = match.groups()
        if scheme:
            found.append(Challenge(scheme.lower(), {}))
        elif found:
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            found[-1].parameters[name.lower()] = value
    return found


def status_words(status: int) -> str:
    """`404 Not Found`."""
    from http import HTTPStatus

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
