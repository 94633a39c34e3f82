"""Expressions of webhooks and policies over an attempt (A247, A249): what they see, and what they say.

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/{cel,webhook/matchconditions}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.api.custom.authorizing import Question, answered_by
from holdfast.api.custom.expressions import OF_ADMISSION, Failed, OptionalResult, Uncompilable, compiled
from holdfast.api.custom.optional_variables import as_list, as_variable, looked_into
from holdfast.api.resource import Manifest
from holdfast.apiserver.auth.authorization import Attributes, Authorizer
from holdfast.apiserver.auth.user import User

_VARIABLE = re.compile(r"\bvariables\.(\w+)")
_NO_SUCH_KEY = "no such key: "


@dataclass(slots=True)
class Scene:
    """What the expressions of one webhook or policy see of one attempt."""

    user: User
    authorizer: Authorizer
    values: Mapping[str, Any]
    """By name, all of OF_ADMISSION but `authorizer` and `variables`; null is what there is not."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Expressions with a name, which others use: evaluated when one does."""
    _known: dict[str, Any] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _optional: set[str] = field(default_factory=set)
    """Those of `_known` whose values are optional."""

    def evaluate(self, text: str) -> Any:
        """Raises Failed, in upstream's words."""
        try:
            return self._value(text)
        except Failed as failed:
            raise Failed(f"expression '{text}' resulted in error: {failed}") from None

    def _value(self, text: str) -> Any:
        for name in dict.fromkeys(_VARIABLE.findall(text)):
            self._work_out(name)
        text = looked_into(text, self._optional)
        try:
            expression = compiled(text, OF_ADMISSION)
        except Uncompilable as error:
            raise Failed(f"compilation error: compilation failed: {error}") from None
        values = {**self.values, "authorizer": self._question(), "variables": self._known}
        try:
            with answered_by(self._answer):
                return expression(values)
        except Failed as failed:
            name = str(failed).removeprefix(_NO_SUCH_KEY)
            if name in self._failed and name in _VARIABLE.findall(text):
                raise Failed(f'composited variable "{name}" fails to evaluate: {self._failed[name]}') from None
            raise

    def _work_out(self, name: str) -> None:
        """A variable that fails is missing: that is told if it turns out to be needed."""
        if name in self._known or name in self._failed or name not in self.variables:
            return
        self._failed[name] = "it depends on itself"
        try:
            self._known[name] = self._variable(name, self.variables[name])
            del self._failed[name]
        except Failed as failed:
            self._failed[name] = str(failed)

    def _variable(self, name: str, text: str) -> Any:
        try:
            return self._value(text)
        except OptionalResult:
            value = as_variable(self._value(as_list(text)))
        self._optional.add(name)
        return value

    def _question(self) -> Question:
        request = self.values["request"] or {}
        asked = request.get("requestResource") or {}
        about = {
            "group": asked.get("group", ""),
            "resource": asked.get("resource", ""),
            "subresource": request.get("requestSubResource", ""),
            "namespace": request.get("namespace", ""),
            "name": request.get("name", ""),
        }
        return {"requestResource": about}

    def _answer(self, question: Question) -> tuple[bool, str]:
        account = question.get("account")
        user = _account(account) if account else self.user
        members = ("verb", "group", "resource", "subresource", "namespace", "name", "path")
        asked = Attributes(**{member: question.get(member, "") for member in members})
        allowed = self.authorizer.allows(user, asked)
        return allowed, self.authorizer.reason(user, asked) if allowed else ""


def _account(name: str) -> User:
    namespace = name.split(":")[2]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(name, groups)


class Unclear(Exception):
    """Conditions that cannot be evaluated, where everything depends on them."""


def hold(conditions: Sequence[Manifest], scene: Scene, *, must_be_clear: bool) -> bool:
    """Whether all do: one that does not settles it, whatever else fails. Raises Unclear if it `must_be_clear`."""
    problems = []
    for condition in conditions:
        try:
            if scene.evaluate(condition["expression"]) is False:
                return False
        except Failed as failed:
            problems.append(str(failed))
    if problems and must_be_clear:
        raise Unclear(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    return not problems


def shown_namespace(namespace: Manifest | None) -> Manifest | None:
    """What expressions see of a namespace: nobody's ownership."""
    if namespace is None:
        return None
    hidden = ("managedFields", "ownerReferences")
    metadata = {name: value for name, value in namespace["metadata"].items() if name not in hidden}
    return {**namespace, "metadata": metadata}
