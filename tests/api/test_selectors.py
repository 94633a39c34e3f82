import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api import selectors
from holdfast.api.errors import BadRequest

WEB = {"app": "web", "tier": "front", "weight": "7", "empty": ""}


@pytest.mark.parametrize(
    "text",
    ["", "app", "!db", "app=web", "app==web", "app!=db", "app in (db,web)", "db notin (a)", "weight>6", "weight<8",
     "db!=x", "app=web,tier=front", "app , tier in ( front )", "empty=", "empty in ()", "db!="],
)  # fmt: skip
def test_what_matches_a102(text: str) -> None:
    assert selectors.parse_label_selector(text).matches(WEB)


@pytest.mark.parametrize(
    "text",
    ["db", "!app", "app=db", "app!=web", "app in (db)", "app notin (web,db)", "weight>7", "weight<7", "app>1",
     "app=web,tier=back", "db="],
)  # fmt: skip
def test_what_does_not_match_a102(text: str) -> None:
    assert not selectors.parse_label_selector(text).matches(WEB)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("b=2,a in (z,y)", "a in (y,z),b=2"),
        ("!x,y", "!x,y"),
        ("a==b", "a==b"),
        ("a>1", "a>1"),
        ("a notin (b)", "a notin (b)"),
    ],
)
def test_the_canonical_text_is_sorted(text: str, canonical: str) -> None:
    assert str(selectors.parse_label_selector(text)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a>b", "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, "
         "the value must be an integer"),
    ],
)  # fmt: skip
def test_bad_label_selectors_say_what_was_expected_a102(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        selectors.parse_label_selector(text)
    assert refusal.value.message == message


def test_a_null_selector_matches_nothing_and_an_empty_one_everything_a103() -> None:
    assert not selectors.selector_from_manifest(None).matches({})
    assert selectors.selector_from_manifest({}).matches({"a": "b"})
    assert selectors.selector_from_manifest({}).is_empty


def test_selectors_of_manifests_a103() -> None:
    selector = selectors.selector_from_manifest(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "db", "operator": "DoesNotExist"},
                {"key": "app", "operator": "Exists"},
                {"key": "x", "operator": "NotIn", "values": ["y"]},
            ],
        }
    )
    assert selector.matches(WEB)
    assert not selector.matches({**WEB, "db": ""})
    assert not selector.matches({**WEB, "x": "y"})
    assert not selector.matches({"app": "web"})
    assert str(selector) == "app=web,app,!db,tier in (back,front),x notin (y)"


_NAMES = st.text("abz019", min_size=1, max_size=4)


@given(st.dictionaries(_NAMES, _NAMES, max_size=4), st.dictionaries(_NAMES, _NAMES, max_size=4))
def test_equality_selectors_agree_with_subset_of_labels(wanted: dict[str, str], labels: dict[str, str]) -> None:
    selector = selectors.selector_from_labels(wanted)
    assert selector.matches(labels) == (wanted.items() <= labels.items())
    assert selectors.parse_label_selector(str(selector)).matches(labels) == selector.matches(labels)


def test_field_selectors_a104() -> None:
    selector = selectors.parse_field_selector(r"metadata.name=a\,b,status.phase!=Running,x==1\=2")
    assert [(r.field, r.op, r.value) for r in selector.requirements] == [
        ("metadata.name", "=", "a,b"),
        ("status.phase", "!=", "Running"),
        ("x", "=", "1=2"),
    ]
    assert selector.exact("metadata.name") == "a,b"
    assert selector.exact("status.phase") is None
    fields = {"metadata.name": "a,b", "status.phase": "Failed", "x": "1=2"}
    assert selector.matches(lambda name: fields.get(name, ""))
    assert not selector.matches(lambda name: "Running")
    assert str(selector) == r"metadata.name=a\,b,status.phase!=Running,x=1\=2"


def test_an_empty_field_selector_matches_everything() -> None:
    assert selectors.parse_field_selector("").matches(lambda name: "")


def test_bad_field_selectors_a104() -> None:
    with pytest.raises(BadRequest, match="invalid selector: 'foo'; can't understand 'foo'"):
        selectors.parse_field_selector("foo")
