"""What may differ between a page and what is printed, and what may not."""

from __future__ import annotations

import pytest

from holdfast.cluster.lessons.likeness import Difference, first_difference

PODS = """\
NAME    READY   STATUS    RESTARTS   AGE
web-0   1/1     Running   0          8s
web-1   0/1     Pending   0          3s"""


def difference(expected, seen):
    return first_difference(expected.splitlines(), seen.splitlines())


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("web-0   1/1   8s", "web-0 1/1     2m30s"),
        ("web-0   1/1   (8s ago)   3d4h", "web-0   1/1   (1m ago)   7s"),
        ("at 10.244.0.2", "at 172.16.31.254"),
        ("pvc-eb508183-c6b0-4a80-8c46-44321c8e24cc", "pvc-9b0a7f93-57c5-4ef5-973a-f19834bea544"),
        ("clerk-6b7c59d4bc-x2x7l 1/1", "clerk-7f8d6b5c5f-9zq4d 1/1"),
        ("since 2026-01-02T03:04:05Z.", "since 2027-11-12T13:14:15Z."),
        ('pod "web-0" deleted', 'pod "web-0" deleted from default namespace'),
        ("a ... c", "a b c"),
        ("a [...] c", "a [x.y*] c"),
        ("...", ""),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...\nd", "a\nd"),
        ("...\nb\n...\nb", "a\nb\nb"),
        ("...\nb\n...", "a\nb\nc\nb"),
    ],
)
def test_what_varies_from_run_to_run_is_no_difference(expected, seen):
    assert difference(expected, seen) is None


@pytest.mark.parametrize(
    ("expected", "seen", "shown", "printed"),
    [
        ("web-0   1/1   8s", "web-0   0/1   8s", "web-0   1/1   8s", "web-0   0/1   8s"),
        ("web-0   1/1   8s", "web-0   1/1   <none>", "web-0   1/1   8s", "web-0   1/1   <none>"),
        ("1Gi", "2Gi", "1Gi", "2Gi"),
        ("web-0", "web-1", "web-0", "web-1"),
        ("a.c", "abc", "a.c", "abc"),
        ("a", "a\nb", None, "b"),
        ("a\nb", "a", "b", None),
        ("", "a", None, "a"),
        ("a\n...\nd", "a\nb", "d", None),
        ("...\nb", "b\nc", "b", None),
        ("in 10.244.0.2", "in None", "in 10.244.0.2", "in None"),
        ('pod "web-0" deleted', 'pod "web-0" kept', 'pod "web-0" deleted', 'pod "web-0" kept'),
    ],
)
def test_everything_else_is_a_difference_and_is_told(expected, seen, shown, printed):
    assert difference(expected, seen) == Difference(shown, printed)


def test_every_line_of_a_table_counts():
    assert difference(PODS, PODS.replace("8s", "9s")) is None
    for line in PODS.splitlines():
        assert difference(PODS, PODS.replace(line + "\n", "").replace("\n" + line, "")) is not None
