"""The page's files: open to everybody, since nothing is in them, and never anything else."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from holdfast.apiserver import page


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/ui/", "text/html; charset=utf-8"),
        ("/ui/index.html", "text/html; charset=utf-8"),
        ("/ui/page.css", "text/css; charset=utf-8"),
        ("/ui/lives.js", "text/javascript; charset=utf-8"),
    ],
)
def test_files_are_served_with_their_type_and_may_load_nothing_from_elsewhere(path, media_type):
    answer = page.answer("GET", path)
    assert (answer.status, answer.content_type) == (200, media_type)
    assert "default-src 'none'" in dict(answer.headers)["Content-Security-Policy"]


def test_the_bare_path_leads_to_the_page():
    assert page.answer("GET", "/ui").headers == (("Location", "/ui/"),)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/ui/nothing"), ("GET", "/ui/../admin.token"), ("GET", "/ui/__init__.py"), ("POST", "/ui/")],
)
def test_there_is_nothing_else(method, path):
    assert page.answer(method, path) is None


@pytest.mark.parametrize("path", ["/uid", "/u", "/api/ui/"])
def test_other_paths_are_not_the_pages(path):
    assert not page.is_ours(path)


def test_every_file_that_is_referred_to_is_there_and_none_comes_from_elsewhere():
    for name in page.TYPES:
        text = page.answer("GET", f"/ui/{name}").body.decode()
        assert "://" not in text
        referred = re.findall(r'(?:href|src)="([^"]+)"|from "\./([^"]+)"', text)
        assert {one or other for one, other in referred} - {"data:,"} <= page.TYPES.keys()


def test_of_scripts_in_the_page_itself_only_its_own_may_run():
    answer = page.answer("GET", "/ui/")
    [script] = re.findall(r"<script>(.*?)</script>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in dict(answer.headers)["Content-Security-Policy"]
