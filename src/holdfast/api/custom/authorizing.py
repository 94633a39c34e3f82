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

from .functions import Function

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


def declared(kinds: Any) -> Iterator[Function]:
    any_, text, flag = kinds.DYN, kinds.STRING, kinds.BOOL
    for name in ("path", "group", "resource", "subresource", "namespace", "name"):
        yield name, any_, [any_, text], True, _with(name)
    for name in ("fieldSelector", "labelSelector"):  # RBAC knows nothing of them
        yield name, any_, [any_, text], True, lambda question, selector: dict(question)
    yield "serviceAccount", any_, [any_, text, text], True, _as_account
    yield "check", any_, [any_, text], True, _check
    yield "allowed", flag, [any_], True, lambda decision: decision["allowed"]
    yield "reason", text, [any_], True, lambda decision: decision["reason"]
    yield "errored", flag, [any_], True, lambda decision: False
    yield "error", text, [any_], True, lambda decision: ""


def _with(name: str) -> Callable[[Question, str], Question]:
    return lambda question, value: {**question, name: value}


def _as_account(question: Question, namespace: str, name: str) -> Question:
    return {**question, "account": f"system:serviceaccount:{namespace}:{name}"}


def _check(question: Question, verb: str) -> Question:
    answer = _answer.get()
    if answer is None:
        raise ValueError("there is no authorizer")
    allowed, reason = answer({**question, "verb": verb})
    return {"allowed": allowed, "reason": reason}
