"""Annotations of pods that mean something: old forms of security profiles, and what a pod's end costs.

Source: Kubernetes, pkg/apis/core/validation (ValidatePodSpecificAnnotations, and where fields must agree with them).
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.errors import FieldError, forbidden, invalid
from holdfast.api.resource import Manifest

from .path_validation import descending_path

SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_SECCOMP = {"runtime/default": "RuntimeDefault", "docker/default": "RuntimeDefault", "unconfined": "Unconfined"}
_APP_ARMOR = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}
_LOCAL = "localhost/"


def validate_annotations(field: str, annotations: Manifest, spec: Manifest) -> Iterator[FieldError]:
    """Each by itself; `field` is where the annotations are."""
    for key, value in annotations.items():
        if key == DELETION_COST:
            yield from _cost(f"{field}[{key}]", value)
        elif key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            yield from _seccomp(f"{field}.{key}", value)
        elif key.startswith(APP_ARMOR):
            yield from _app_armor(f"{field}[{key}]", key, value, spec)


def validate_agreement(field: str, annotations: Manifest, spec: Manifest) -> Iterator[FieldError]:
    """Where a profile is given both ways; `field` is where the spec is."""
    if not annotations:
        return
    of_pod = spec.get("securityContext", {})
    yield from _agree(
        f"{field}.securityContext.seccompProfile", annotations.get(SECCOMP_POD), of_pod.get("seccompProfile"), "seccomp"
    )
    for at, container in _containers(field, spec):
        annotation = annotations.get(f"{SECCOMP_CONTAINER}{container.get('name', '')}")
        profile = container.get("securityContext", {}).get("seccompProfile")
        yield from _agree(f"{at}.securityContext.seccompProfile", annotation, profile, "seccomp")
    for at, container in _containers(field, spec):
        annotation = annotations.get(f"{APP_ARMOR}{container.get('name', '')}")
        profile = container.get("securityContext", {}).get("appArmorProfile") or of_pod.get("appArmorProfile")
        yield from _agree(f"{at}.securityContext.appArmorProfile", annotation, profile, "apparmor")


def _containers(field: str, spec: Manifest) -> Iterator[tuple[str, Manifest]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(kind, ())):
            yield f"{field}.{kind}[{i}]", container


def _cost(field: str, text: str) -> Iterator[FieldError]:
    try:
        is_whole = -(2**31) <= int(text) < 2**31 and text.strip() == text and "_" not in text and text[:2] != "+0"
    except ValueError:
        is_whole = False
    if not is_whole:
        yield invalid(field, text, "must be a 32bit integer")


def _seccomp(field: str, profile: str) -> Iterator[FieldError]:
    if profile.startswith(_LOCAL):
        yield from descending_path(field, profile.removeprefix(_LOCAL))
    elif profile not in _SECCOMP:
        yield invalid(field, profile, "must be a valid seccomp profile")


def _app_armor(field: str, key: str, profile: str, spec: Manifest) -> Iterator[FieldError]:
    name = key.removeprefix(APP_ARMOR)
    if all(container.get("name") != name for _, container in _containers("", spec)):
        yield invalid(field, name, "container not found")
    if profile and profile not in _APP_ARMOR and not profile.startswith(_LOCAL):
        yield invalid(field, profile, f'invalid AppArmor profile name: "{profile}"')


def _agree(field: str, annotation: str | None, profile: Manifest | None, what: str) -> Iterator[FieldError]:
    if annotation is None or profile is None:
        return
    kinds = _SECCOMP if what == "seccomp" else _APP_ARMOR
    given = "Localhost" if annotation.startswith(_LOCAL) else kinds.get(annotation, "")
    kind = profile.get("type")
    if kind in ("Localhost", "RuntimeDefault", "Unconfined") and kind != given:
        yield forbidden(f"{field}.type", f"{what} type in annotation and field must match")
    elif kind == "Localhost" and annotation.removeprefix(_LOCAL) != profile.get("localhostProfile"):
        yield forbidden(f"{field}.localhostProfile", f"{what} profile in annotation and field must match")
