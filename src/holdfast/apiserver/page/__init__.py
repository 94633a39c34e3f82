"""The page that shows sets as lanes on a time line: static files, which know nothing until somebody gives them a token.

They ask the API like any other client, as whoever the token says. Nothing is fetched from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from holdfast.wire.messages import Response

PREFIX = "/ui"
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "lives.js": "text/javascript; charset=utf-8",
    "watch.js": "text/javascript; charset=utf-8",
}
POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'{own}; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-cache"))
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def is_ours(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def answer(method: str, path: str) -> Response | None:
    """None for what there is not."""
    if method not in ("GET", "HEAD"):
        return None
    if path == PREFIX:
        return Response(301, headers=(("Location", f"{PREFIX}/"),))
    name = path.removeprefix(f"{PREFIX}/") or "index.html"
    if name not in TYPES:
        return None
    content, policy = _file(name)
    return Response(200, content, TYPES[name], (("Content-Security-Policy", policy), *HEADERS))


@cache
def _file(name: str) -> tuple[bytes, str]:
    """Its content, and what it may do: of scripts that stand in the page, those that do are named."""
    content = files(__package__).joinpath(name).read_bytes()
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _SCRIPT.findall(content)]
    return content, POLICY.format(own="".join(f" 'sha256-{digest}'" for digest in digests))
