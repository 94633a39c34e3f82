"""Links of pages behind a proxy (A157)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.apiserver.streams.links import LONGEST_TAG, PageRewriter, Rewriting

PREFIX = "/api/v1/namespaces/ns/services/web:http/proxy"
REWRITING = Rewriting(PREFIX, {"10.1.2.3:80", "localhost:8001"})


def rewritten(page: str, size: int = 1 << 20) -> str:
    rewriter = PageRewriter(REWRITING)
    data = page.encode()
    pieces = [rewriter.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return (b"".join(pieces) + rewriter.finish()).decode()


@pytest.mark.parametrize(
    ("link", "through"),
    [
        ("/", f"{PREFIX}/"),
        ("/a/b.css?v=1#top", f"{PREFIX}/a/b.css?v=1#top"),
        ("/dir/", f"{PREFIX}/dir/"),
        ("http://10.1.2.3:80/x", f"{PREFIX}/x"),
        ("http://localhost:8001/x", f"{PREFIX}/x"),
        ("//10.1.2.3:80/x", f"{PREFIX}/x"),
        (f"{PREFIX}/x", f"{PREFIX}/x"),
        (f"http://localhost:8001{PREFIX}/x", f"{PREFIX}/x"),
        ("b.css", "b.css"),
        ("../b.css", "../b.css"),
        ("?page=2", "?page=2"),
        ("#top", "#top"),
        ("", ""),
        ("https://example.org/x", "https://example.org/x"),
        ("//example.org/x", "//example.org/x"),
        ("http://10.1.2.3:8080/x", "http://10.1.2.3:8080/x"),
        ("mailto:jane@example.org", "mailto:jane@example.org"),
        ("javascript:go()", "javascript:go()"),
        ("data:text/plain,/x", "data:text/plain,/x"),
    ],
)
def test_only_what_would_leave_the_proxy_is_led_through_it(link, through):
    assert REWRITING.link(link) == through


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<a href="/x">y</a>', f'<a href="{PREFIX}/x">y</a>'),
        ("<a href='/x'>", f"<a href='{PREFIX}/x'>"),
        ("<A class=b HREF=/x>", f'<A class=b HREF="{PREFIX}/x">'),
        ('<img alt="a > b" src = "/x" />', f'<img alt="a > b" src = "{PREFIX}/x" />'),
        ('<img\n  longdesc="/l"\n  src="/s">', f'<img\n  longdesc="{PREFIX}/l"\n  src="{PREFIX}/s">'),
        ('<form action="/f?a=1&amp;b=2">', f'<form action="{PREFIX}/f?a=1&amp;b=2">'),
        ('<a href="/ü">ü', f'<a href="{PREFIX}/ü">ü'),
        ('<script src="/x.js">go("<a href=\'/y\'>")</script><a href="/z">',
         f'<script src="{PREFIX}/x.js">go("<a href=\'/y\'>")</script><a href="{PREFIX}/z">'),
        ('<!-- <a href="/x"> --><a href="/y">', f'<!-- <a href="/x"> --><a href="{PREFIX}/y">'),
        ('<TITLE><a href="/x"></Title><a href="/y">', f'<TITLE><a href="/x"></Title><a href="{PREFIX}/y">'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_page_is_rewritten_however_it_is_cut(page, expected, size):
    assert rewritten(page, size) == expected


@pytest.mark.parametrize(
    "page",
    ['<p href="/x">', '<a name="/x">', "a < b", "a <3 b", "</a>", "<!DOCTYPE html>", "<", "<a", '<a href="/x', "<!-",
     "<a =>",     "<a href=>", "<!-- open", "<script>var a = 1", "1 <2> 3"],
)  # fmt: skip
def test_the_rest_stays_as_it_is(page):
    assert rewritten(page) == page
    assert rewritten(page, 1) == page


@given(
    st.lists(st.sampled_from(["<", ">", "a", " ", "=", '"', "'", "/", "!--", "-->", "script", "href", "</", "x", "\n"]))
)
def test_no_piece_of_a_page_without_links_is_lost_or_changed(parts):
    page = "".join(parts)
    if "/" not in page:
        assert rewritten(page) == rewritten(page, 2) == page


@pytest.mark.parametrize("piece", ["<a ", '<a b="', "<a b='c' ", "<", "<!--", "<script>", "<a =", "<a x=/ "])
def test_a_page_made_to_be_slow_is_not(piece):
    """Generous: quadratic work on this would take minutes."""
    page = piece * (8 * LONGEST_TAG // len(piece))
    before = time.perf_counter()
    assert len(rewritten(page, 16 << 10)) >= len(page)
    assert time.perf_counter() - before < 5
