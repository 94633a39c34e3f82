"""ValidatingAdmissionPolicies: what expressions say of an attempt (A249).

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/policy/validating/{dispatcher,validator}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.api.custom.expressions import Failed
from holdfast.api.errors import ApiError, FieldError, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.cache import Event, ResourceCache

from . import refusals
from .attempt import Attempt
from .conditions import Scene, Unclear, hold
from .parameters import Misconfigured

LONGEST_MESSAGE_BYTES = 5 * 1024


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy and the bindings that put it into force."""

    policy: Manifest
    bindings: Sequence[Manifest]

    @property
    def name(self) -> str:
        return str(self.policy["metadata"]["name"])

    @property
    def spec(self) -> Manifest:
        spec: Manifest = self.policy["spec"]
        return spec

    @property
    def is_required(self) -> bool:
        """What cannot be evaluated is refused."""
        return bool(self.spec.get("failurePolicy") != "Ignore")

    @property
    def variables(self) -> dict[str, str]:
        return {each["name"]: each["expression"] for each in self.spec.get("variables") or ()}


class Policies:
    """All policies of one kind that are in force, by name; kept up to date."""

    def __init__(self, policies: ResourceCache, bindings: ResourceCache) -> None:
        self._policies = policies
        self._bindings = bindings
        self.all: tuple[Policy, ...] = ()
        self._read()
        for cache in (policies, bindings):
            cache.follow(self._changed)

    def _changed(self, event: Event) -> None:
        self._read()

    def _read(self) -> None:
        of: dict[str, list[Manifest]] = {}
        for stored in sorted(self._bindings.select(), key=lambda stored: stored.name):
            of.setdefault(stored.manifest["spec"].get("policyName") or "", []).append(stored.manifest)
        found = sorted(self._policies.select(), key=lambda stored: stored.name)
        self.all = tuple(Policy(stored.manifest, of[stored.name]) for stored in found if stored.name in of)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What policies ask the cluster."""

    match: Callable[[Manifest, Attempt], Resource | None]
    """By matchConstraints or matchResources. Raises NotFound."""
    scene: Callable[[Attempt, Resource, Manifest | None], Scene]
    """With the parameters."""
    parameters: Callable[[Manifest, Manifest, str], Sequence[Manifest | None]]
    """(policy, binding, namespace) Raises Misconfigured."""


@dataclass(frozen=True, slots=True)
class Denial:
    """One thing that is wrong with an attempt."""

    policy: str
    binding: str
    message: str
    reason: str = ""

    def __str__(self) -> str:
        where = f" with binding '{self.binding}'" if self.binding else ""
        return f"ValidatingAdmissionPolicy '{self.policy}'{where} denied request: {self.message}"


def judge(policies: Sequence[Policy], attempt: Attempt, around: Surroundings) -> None:
    """Warnings go to the call. Raises the first denial, in upstream's words."""
    denials = [denial for policy in policies for denial in _denials(policy, attempt, around)]
    if denials:
        raise refusal(attempt, denials[0])


def refusal(attempt: Attempt, denial: Denial) -> ApiError:
    text = str(denial)
    error = refusals.forbidden(attempt, text, denial.reason or "Invalid")
    error.causes = [FieldError("", "", text)]
    return error


def _denials(policy: Policy, attempt: Attempt, around: Surroundings) -> Iterator[Denial]:
    for binding, form, params, problem in invocations(policy, attempt, around):
        name = binding["metadata"]["name"] if binding is not None else ""
        if problem:
            if policy.is_required:
                yield Denial(policy.name, name, problem)
            continue
        assert binding is not None
        assert form is not None
        actions = binding["spec"].get("validationActions") or ()
        scene = around.scene(attempt, form, params)
        scene.variables = policy.variables
        try:
            if not hold(policy.spec.get("matchConditions") or (), scene, must_be_clear=policy.is_required):
                continue
        except Unclear as unclear:
            yield from _acted(Denial(policy.name, name, str(unclear)), actions, attempt)
            continue
        for message, reason in _failures(policy, scene):
            yield from _acted(Denial(policy.name, name, message, reason), actions, attempt)
        for message in _annotation_failures(policy, scene):
            yield Denial(policy.name, name, message)


def invocations(
    policy: Policy, attempt: Attempt, around: Surroundings
) -> Iterator[tuple[Manifest | None, Resource | None, Manifest | None, str]]:
    """(binding, form of the object, parameters, what is wrong with the configuration): what is to be evaluated."""
    try:
        form = around.match(policy.spec.get("matchConstraints") or {}, attempt)
    except NotFound as error:
        yield None, None, None, f"failed to configure policy: {error}"
        return
    if form is None:
        return
    for binding in policy.bindings:
        try:
            match = binding["spec"].get("matchResources")
            if match is not None and around.match(match, attempt) is None:
                continue
            found = around.parameters(policy.policy, binding, attempt.call.namespace)
        except (NotFound, Misconfigured) as error:
            yield binding, None, None, f"failed to configure binding: {error}"
            continue
        for params in found:
            yield binding, form, params, ""


def _acted(denial: Denial, actions: Sequence[str], attempt: Attempt) -> Iterator[Denial]:
    """There is no audit log here: `Audit` leaves no trace."""
    if "Deny" in actions:
        yield denial
    if "Warn" in actions:
        attempt.call.warnings.append(
            f"Validation failed for ValidatingAdmissionPolicy '{denial.policy}' with binding '{denial.binding}': "
            f"{denial.message}"
        )


def _failures(policy: Policy, scene: Scene) -> Iterator[tuple[str, str]]:
    """Message and reason of every validation that does not hold."""
    for validation in policy.spec.get("validations") or ():
        try:
            holds = scene.evaluate(validation["expression"])
        except Failed as failed:
            if policy.is_required:
                yield str(failed), ""
            continue
        if holds is not True:
            yield _message(validation, scene), validation.get("reason") or "Invalid"


def _message(validation: Manifest, scene: Scene) -> str:
    if expression := validation.get("messageExpression"):
        try:
            said: Any = scene.evaluate(expression)
        except Failed:
            said = ""
        text = said.strip() if isinstance(said, str) else ""
        if text and "\n" not in text and len(text.encode()) <= LONGEST_MESSAGE_BYTES:
            return text
    return (validation.get("message") or "").strip() or f"failed expression: {validation['expression'].strip()}"


def _annotation_failures(policy: Policy, scene: Scene) -> Iterator[str]:
    """Annotations go nowhere, but one that cannot be evaluated refuses as it does upstream."""
    for annotation in policy.spec.get("auditAnnotations") or ():
        expression = annotation["valueExpression"]
        try:
            value = scene.evaluate(expression)
        except Failed as failed:
            if policy.is_required:
                yield str(failed)
            continue
        if value is not None and not isinstance(value, str):
            yield (
                f"valueExpression '{expression}' resulted in unsupported return type: {type(value).__name__}. "
                "Return type must be either string or null."
            )
