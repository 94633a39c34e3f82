"""The page that shows sets as lanes on a time line: static files, which know nothing until somebody gives them a token.

They ask the API like any other client, as whoever the token says. Nothing is fetched from elsewhere.
"""

from __future__ import annotations

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
HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; "
     "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
)  # fmt: skip


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
    return Response(200, _content(name), TYPES[name], HEADERS)


@cache
def _content(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()
