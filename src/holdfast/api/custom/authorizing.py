"""The functions of `authorizer` in CEL: may whoever asks do something else as well (A249).

An expression makes a question step by step and then asks it; the library knows no values of our own, so that a
question is a map, and who answers is found by the way, for the time of one evaluation.
Source: Kubernetes, k8s.io/apiserver/pkg/cel/library/authz.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from holdfast.api import names

from .signatures import Function, Opaque, member

_PACKAGE = "kubernetes.authorization"
PATH_CHECK, GROUP_CHECK, RESOURCE_CHECK = (
    Opaque(f"{_PACKAGE}.{name}") for name in ("PathCheck", "GroupCheck", "ResourceCheck")
)
AUTHORIZER = Opaque(f"{_PACKAGE}.Authorizer", fields={"requestResource": RESOURCE_CHECK})
DECISION = Opaque(f"{_PACKAGE}.Decision", "allowed")

Question = Mapping[str, Any]
"""`verb`, and of `group`, `resource`, `subresource`, `namespace`, `name`, `path` and `account` what is asked about."""
Answer = Callable[[Question], tuple[bool, str]]
"""Whether it is allowed, and why."""

_answer: ContextVar[Answer | None] = ContextVar("answer", default=None)


@contextmanager
def answered_by(answer: Answer) -> Iterator[None]:
    token = _answer.set(answer)
    try:
        yield
    finally:
        _answer.reset(token)


def declared() -> Iterator[Function]:
    yield member("serviceAccount", AUTHORIZER, [AUTHORIZER, "string", "string"], _as_account)
    yield member("path", PATH_CHECK, [AUTHORIZER, "string"], _with("path", may_be_empty=False))
    yield member("group", GROUP_CHECK, [AUTHORIZER, "string"], _with("group"))
    yield member("resource", RESOURCE_CHECK, [GROUP_CHECK, "string"], _with("resource", may_be_empty=False))
    for name in ("subresource", "namespace", "name"):
        yield member(name, RESOURCE_CHECK, [RESOURCE_CHECK, "string"], _with(name))
    for name in ("fieldSelector", "labelSelector"):  # RBAC knows nothing of them
        yield member(name, RESOURCE_CHECK, [RESOURCE_CHECK, "string"], lambda question, selector: dict(question))
    for check in (PATH_CHECK, RESOURCE_CHECK):
        yield member("check", DECISION, [check, "string"], _check)
    yield member("allowed", "bool", [DECISION], lambda decision: decision["allowed"])
    yield member("reason", "string", [DECISION], lambda decision: decision["reason"])
    yield member("errored", "bool", [DECISION], lambda decision: False)
    yield member("error", "string", [DECISION], lambda decision: "")


def _with(name: str, *, may_be_empty: bool = True) -> Callable[[Question, str], Question]:
    def act(question: Question, value: str) -> Question:
        if not may_be_empty and not value.strip():
            raise ValueError(f"{name} must not be empty")
        return {**question, name: value}

    return act


def _as_account(question: Question, namespace: str, name: str) -> Question:
    if names.dns_subdomain(name):
        raise ValueError("Invalid service account name")
    if names.dns_label(namespace):
        raise ValueError("Invalid service account namespace")
    return {**question, "account": f"system:serviceaccount:{namespace}:{name}"}


def _check(question: Question, verb: str) -> Question:
    answer = _answer.get()
    if answer is None:
        raise ValueError("there is no authorizer")
    allowed, reason = answer({**question, "verb": verb})
    return {"allowed": allowed, "reason": reason}
