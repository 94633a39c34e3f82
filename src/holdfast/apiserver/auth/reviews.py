"""The answers to reviews: what a user may, who a token is (A221, A229, A230). Nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.api.authentication.reviews import SELF_SUBJECT_REVIEWS, TOKEN_REVIEWS
from holdfast.api.authorization.review_validation import validate_local, validate_of_subject, validate_own
from holdfast.api.authorization.reviews import (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
)
from holdfast.api.errors import BadRequest
from holdfast.api.resource import Manifest, Resource
from holdfast.apiserver.call import Call

from .account_tokens import TokenRefused
from .authorization import Attributes, Authorizer
from .tokens import AUDIENCES, Tokens
from .user import User


@dataclass(frozen=True, slots=True)
class Reviewer:
    """What the answers come from."""

    authorizer: Authorizer
    tokens: Tokens
    now: Callable[[], str]

    def review(self, call: Call, manifest: Manifest) -> Manifest:
        """The same object with its status. Raises Invalid, BadRequest."""
        answered = {**manifest, "metadata": manifest.get("metadata") or {}}
        return {**answered, **_ANSWERS[call.resource](self, call, answered)}


def is_review(resource: Resource) -> bool:
    return resource in _ANSWERS


def _own_access(reviewer: Reviewer, call: Call, manifest: Manifest) -> Manifest:
    if errors := [*validate_own(manifest)]:
        raise call.invalid(errors)
    return _access(reviewer, call.user, manifest["spec"])


def _access_of(reviewer: Reviewer, call: Call, manifest: Manifest) -> Manifest:
    is_local = call.resource is LOCAL_SUBJECT_ACCESS_REVIEWS
    if errors := [*(validate_local(manifest, call.namespace) if is_local else validate_of_subject(manifest))]:
        raise call.invalid(errors)
    spec = manifest["spec"]
    subject = User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "")
    return _access(reviewer, subject, spec)


def _access(reviewer: Reviewer, user: User, spec: Manifest) -> Manifest:
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes") or {}
    if of_resource is None:
        asked = Attributes(of_path.get("verb") or "", path=of_path.get("path") or "/")
    else:
        members = ("verb", "group", "resource", "subresource", "namespace", "name")
        asked = Attributes(*(of_resource.get(member) or "" for member in members))
    if not reviewer.authorizer.allows(user, asked):
        return {"status": {"allowed": False}}
    reason = reviewer.authorizer.reason(user, asked)
    return {"status": {"allowed": True, "reason": reason} if reason else {"allowed": True}}


def _own_rules(reviewer: Reviewer, call: Call, manifest: Manifest) -> Manifest:
    namespace = (manifest.get("spec") or {}).get("namespace")
    if not namespace:
        raise BadRequest("no namespace on request")
    resources, paths = [], []
    for rule in reviewer.authorizer.rules(call.user, namespace):
        if rule.get("nonResourceURLs"):
            paths.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
        else:
            members = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({member: rule[member] for member in members if rule.get(member)})
    return {"status": {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}}


def _self(reviewer: Reviewer, call: Call, manifest: Manifest) -> Manifest:
    metadata = {**manifest["metadata"], "creationTimestamp": reviewer.now()}
    return {"metadata": metadata, "status": {"userInfo": _info(call.user)}}


def _token(reviewer: Reviewer, call: Call, manifest: Manifest) -> Manifest:
    spec = manifest.get("spec") or {}
    if not spec.get("token"):
        raise BadRequest("token is required for TokenReview in authentication")
    try:
        user, audiences = reviewer.tokens.review(spec["token"], spec.get("audiences") or AUDIENCES)
    except TokenRefused as error:
        refused = "invalid bearer token"
        return {"status": {"user": {}, "error": f"[{refused}, {error}]" if str(error) else refused}}
    return {"status": {"authenticated": True, "user": _info(user), "audiences": audiences}}


def _info(user: User) -> Manifest:
    info: Manifest = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra}
    return info


_ANSWERS: Mapping[Resource, Callable[[Reviewer, Call, Manifest], Manifest]] = {
    SELF_SUBJECT_ACCESS_REVIEWS: _own_access,
    SUBJECT_ACCESS_REVIEWS: _access_of,
    LOCAL_SUBJECT_ACCESS_REVIEWS: _access_of,
    SELF_SUBJECT_RULES_REVIEWS: _own_rules,
    SELF_SUBJECT_REVIEWS: _self,
    TOKEN_REVIEWS: _token,
}
