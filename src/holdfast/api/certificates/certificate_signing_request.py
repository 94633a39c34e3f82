"""CertificateSigningRequests: stored, approved or denied; who signs them is whoever watches for the signer's name."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.api import names
from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, not_supported, required, too_long
from holdfast.api.field_rules import supported
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource, Subresource
from holdfast.api.table import age, human_duration

from .usages import USAGES

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
_FINAL = (APPROVED, DENIED, FAILED)
"""Conditions that are only ever true, and that nobody takes back."""
REQUESTOR = ("username", "uid", "groups", "extra")
"""Members of spec that say who asked: the server fills them in."""
_SHORTEST_S = 600
_LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
_LONGEST_DOMAIN, _LONGEST_PATH = 253, 253 + 63 + 1


def default(request: Manifest) -> None:
    spec = request.setdefault("spec", {})
    for field in ("request", "signerName"):
        spec.setdefault(field, "")
    request.setdefault("status", {})


def prepare_update(new: Manifest, old: Manifest) -> None:
    """What was asked for stays as it was asked."""
    new["spec"] = old["spec"]


def validate(request: Manifest) -> list[FieldError]:
    spec, status = request["spec"], request.get("status", {})
    errors: list[FieldError] = []
    if problem := _problem_with_request(spec["request"]):
        errors.append(invalid("spec.request", spec["request"], problem))
    errors += _usages("spec.usages", spec.get("usages") or [])
    if spec["signerName"] == _LEGACY_SIGNER:
        refusal = "the legacy signerName is not allowed via this API version"
        errors.append(invalid("spec.signerName", spec["signerName"], refusal))
    else:
        errors += _signer_name("spec.signerName", spec["signerName"])
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _SHORTEST_S:
        refusal = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.append(invalid("spec.expirationSeconds", seconds, refusal))
    errors += _conditions("status.conditions", status.get("conditions") or [])
    if problem := _problem_with_certificate(status.get("certificate", "")):
        errors.append(invalid("status.certificate", "<certificate data>", problem))
    return errors


def _problem_with_request(encoded: str) -> str:
    """Whether it is a PKCS#10 request in PEM, signed by the key it is for."""
    from cryptography.x509 import load_pem_x509_csr

    content = base64.b64decode(encoded)
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in content:
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        parsed = load_pem_x509_csr(content)
        return "" if parsed.is_signature_valid else "x509: signature is not valid"
    except Exception as error:  # the library has many ways to refuse bytes, and no class for all of them
        return f"x509: malformed certificate request: {error}"


def _problem_with_certificate(encoded: str) -> str:
    from cryptography.x509 import load_pem_x509_certificates

    if not encoded:
        return ""
    content = base64.b64decode(encoded)
    if b"-----BEGIN CERTIFICATE-----" not in content:
        return "must contain at least one CERTIFICATE PEM block"
    try:
        load_pem_x509_certificates(content)
    except ValueError as error:
        return f"x509: malformed certificate: {error}"
    return ""


def _usages(field: str, usages: list[str]) -> Iterator[FieldError]:
    if not usages:
        yield required(field, "usages must be provided")
    for i, usage in enumerate(usages):
        yield from supported(f"{field}[{i}]", usage, USAGES)
    for i, usage in enumerate(usages):
        if usage in usages[:i]:
            yield duplicate(f"{field}[{i}]", usage)


def _signer_name(field: str, name: str) -> Iterator[FieldError]:
    """`example.com/signer`."""
    if not name:
        yield required(field, "signerName must be provided")
        return
    parts = name.split("/")
    if len(parts) != 2:
        yield invalid(field, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
        return
    domain, path = parts
    if len(domain) > _LONGEST_DOMAIN:
        yield too_long(field, _LONGEST_DOMAIN)
    yield from _labels(field, domain, names.dns_label)
    if "." not in domain:
        yield invalid(field, domain, "should be a domain with at least two segments separated by dots")
    yield from _labels(field, path, names.dns_subdomain)
    if len(name) > _LONGEST_DOMAIN + _LONGEST_PATH + 1:
        yield too_long(field, _LONGEST_DOMAIN + _LONGEST_PATH + 1)


def _labels(field: str, text: str, rule: Callable[[str], str]) -> Iterator[FieldError]:
    """The first label that is wrong."""
    for label in text.split("."):
        if error := rule(label):
            yield invalid(field, text, f'validating label "{label}": {error}')
            return


def _conditions(field: str, conditions: list[Manifest]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        at, kind, status = f"{field}[{i}]", condition.get("type", ""), condition.get("status", "")
        allowed = ("True",) if kind in _FINAL else ("False", "True", "Unknown")
        if not kind:
            yield required(f"{at}.type")
        if not status:
            yield required(f"{at}.status")
        elif status not in allowed:
            yield not_supported(f"{at}.status", status, allowed)
        if {APPROVED: DENIED, DENIED: APPROVED}.get(kind) in seen:
            yield invalid(f"{at}.type", kind, "Approved and Denied conditions are mutually exclusive")
        if kind in seen:
            yield duplicate(f"{at}.type", kind)
        seen.add(kind)


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Signers write here: a certificate once, and conditions but not the verdict."""
    errors = [*validate(new), *_kept_conditions(new, old)]
    for kind in (APPROVED, DENIED):
        now, then = _of_type(new, kind), _of_type(old, kind)
        if len(now) > len(then):
            errors.append(forbidden("status.conditions", f'updates may not add a condition of type "{kind}"'))
        elif len(now) == len(then) and now != then:
            errors.append(forbidden("status.conditions", f'updates may not modify a condition of type "{kind}"'))
    certificate, before = (manifest.get("status", {}).get("certificate", "") for manifest in (new, old))
    if before and certificate != before:
        errors.append(forbidden("status.certificate", "updates may not change the certificate"))
    return errors


def validate_approval(new: Manifest, old: Manifest) -> list[FieldError]:
    """Approvers write here: conditions alone."""
    return [*validate(new), *_kept_conditions(new, old)]


def _kept_conditions(new: Manifest, old: Manifest) -> Iterator[FieldError]:
    for kind in _FINAL:
        if len(_of_type(new, kind)) < len(_of_type(old, kind)):
            yield forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"')


def _of_type(request: Manifest, kind: str) -> list[Manifest]:
    conditions = request.get("status", {}).get("conditions") or ()
    return [condition for condition in conditions if condition.get("type") == kind]


def timed(conditions: list[Manifest], before: list[Manifest], now: str) -> list[Manifest]:
    """Conditions with the times that nobody gave: when each was last written, and when it last changed."""
    then = {condition.get("type"): condition for condition in before}
    filled = []
    for condition in conditions:
        old = then.get(condition.get("type"), {})
        has_changed = old.get("status") != condition.get("status")
        since = now if has_changed else old.get("lastTransitionTime") or now
        times = {"lastUpdateTime": now, "lastTransitionTime": since}
        filled.append({**condition, **{name: condition.get(name) or time for name, time in times.items()}})
    return filled


def cells(request: Manifest, now: datetime) -> list[Any]:
    metadata, spec = request["metadata"], request["spec"]
    seconds = spec.get("expirationSeconds")
    return [
        metadata["name"],
        age(metadata.get("creationTimestamp"), now),
        spec["signerName"] or "<none>",
        spec.get("username", ""),
        "<none>" if seconds is None else human_duration(timedelta(seconds=seconds)),
        _state(request),
    ]


def _state(request: Manifest) -> str:
    words = ["Denied"] if _of_type(request, DENIED) else ["Approved"] if _of_type(request, APPROVED) else ["Pending"]
    if _of_type(request, FAILED):
        words.append("Failed")
    if request.get("status", {}).get("certificate"):
        words.append("Issued")
    return ",".join(words)


_FIELDS: Mapping[str, Callable[[Manifest], str]] = {
    "spec.signerName": lambda request: str(request["spec"].get("signerName", "")),
}

CERTIFICATE_SIGNING_REQUESTS = Resource(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    namespaced=False,
    short_names=("csr",),
    subresources=(Subresource("approval"), STATUS),
    default=default,
    prepare_update=prepare_update,
    validate=validate,
    validate_status_update=validate_status_update,
    validate_name=lambda name: "",
    fields=_FIELDS,
    columns=(
        NAME,
        AGE,
        Column("SignerName", documents="certificates.v1.CertificateSigningRequestSpec.signerName"),
        Column("Requestor", documents="certificates.v1.CertificateSigningRequestSpec.request"),
        Column("RequestedDuration", documents="certificates.v1.CertificateSigningRequestSpec.expirationSeconds"),
        Column("Condition", documents="certificates.v1.CertificateSigningRequestStatus.conditions"),
    ),
    cells=cells,
    initial_status={},
)
