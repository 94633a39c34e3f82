"""Names as a pod tries them (D66)."""

import pytest

from holdfast.network.dns.lookup import candidates


@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("db-0.db", ["db-0.db.app.svc.cluster.local", "db-0.db.svc.cluster.local", "db-0.db.cluster.local", "db-0.db"]),
        ("db-0.db.app.svc.cluster.local.", ["db-0.db.app.svc.cluster.local"]),
        ("a.b.c.d.e.f", ["a.b.c.d.e.f", "a.b.c.d.e.f.app.svc.cluster.local"]),
    ],
)
def test_d66_short_names_are_tried_below_the_search_domains_first(name, tried):
    assert list(candidates(name, "app", "cluster.local"))[: len(tried)] == tried
