"""What both kinds of webhook configurations share: whom to ask, when, and what if nobody answers (A246)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from holdfast.api import names
from holdfast.api.errors import FieldError, invalid, not_supported, required
from holdfast.api.field_rules import supported, unique
from holdfast.api.resource import AGE, NAME, Column, Manifest
from holdfast.api.selector_validation import validate_label_selector
from holdfast.api.table import age

from .matching import FAILURE_POLICIES, MATCH_POLICIES, default_rule, validate_match_conditions, validate_rule

REINVOCATION_POLICIES = ("IfNeeded", "Never")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_URL_FORM = "; desired format: https://host[/path]"

COLUMNS = (
    NAME,
    Column("Webhooks", "integer", text="Webhooks indicates the number of webhooks defined in this configuration"),
    AGE,
)


def default_webhook(webhook: Manifest) -> None:
    for field, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10)):
        webhook.setdefault(field, value)
    for selector in ("namespaceSelector", "objectSelector"):
        webhook.setdefault(selector, {})
    if service := webhook.setdefault("clientConfig", {}).get("service"):
        service.setdefault("port", 443)
    for rule in webhook.get("rules", ()):
        default_rule(rule)


def validate_webhooks(configuration: Manifest, *, has_reinvocation: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, webhook in enumerate(configuration.get("webhooks", ())):
        field = f"webhooks[{i}]"
        errors += _webhook(field, webhook)
        if has_reinvocation:
            policy = webhook.get("reinvocationPolicy", "")
            errors += supported(f"{field}.reinvocationPolicy", policy, REINVOCATION_POLICIES)
        errors += _review_versions(f"{field}.admissionReviewVersions", webhook.get("admissionReviewVersions") or [])
        errors += unique(f"{field}.name", webhook.get("name", ""), seen)
    return errors


def _webhook(field: str, webhook: Manifest) -> Iterator[FieldError]:
    yield from _full_name(f"{field}.name", webhook.get("name", ""))
    for i, rule in enumerate(webhook.get("rules", ())):
        yield from validate_rule(f"{field}.rules[{i}]", rule)
    yield from supported(f"{field}.failurePolicy", webhook["failurePolicy"], FAILURE_POLICIES)
    yield from supported(f"{field}.matchPolicy", webhook["matchPolicy"], MATCH_POLICIES)
    effects = webhook.get("sideEffects")
    if effects is None:
        yield required(f"{field}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}")
    elif effects not in _SIDE_EFFECTS:
        yield not_supported(f"{field}.sideEffects", effects, _SIDE_EFFECTS)
    seconds = webhook["timeoutSeconds"]
    if not 1 <= seconds <= 30:
        yield invalid(f"{field}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    for selector in ("namespaceSelector", "objectSelector"):
        yield from validate_label_selector(f"{field}.{selector}", webhook[selector])
    yield from validate_client_config(f"{field}.clientConfig", webhook["clientConfig"])
    yield from validate_match_conditions(f"{field}.matchConditions", webhook.get("matchConditions") or [])


def _full_name(field: str, name: str) -> Iterator[FieldError]:
    if not name:
        yield required(field)
    elif error := names.dns_subdomain(name):
        yield invalid(field, name, error)
    elif name.count(".") < 2:
        yield invalid(field, name, "should be a domain with at least three segments separated by dots")


def _review_versions(field: str, versions: Sequence[str]) -> Iterator[FieldError]:
    if not versions:
        yield required(field, f"must specify one of {', '.join(_REVIEW_VERSIONS)}")
        return
    seen: set[str] = set()
    for i, version in enumerate(versions):
        if version in seen:
            yield invalid(f"{field}[{i}]", version, "duplicate version")
            continue
        seen.add(version)
        if error := names.rfc1035_label(version):
            yield invalid(f"{field}[{i}]", version, error)
    if not seen & set(_REVIEW_VERSIONS):
        yield invalid(field, versions, f"must include at least one of {', '.join(_REVIEW_VERSIONS)}")


def validate_client_config(field: str, config: Manifest) -> Iterator[FieldError]:
    """Where a webhook is: a URL, or a service in the cluster."""
    if ("url" in config) == ("service" in config):
        yield required(field, "exactly one of url or service is required")
    elif "url" in config:
        yield from _url(f"{field}.url", config["url"])
    else:
        yield from _service(f"{field}.service", config["service"])


def _url(field: str, url: str) -> Iterator[FieldError]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        yield required(field, f"url must be a valid URL: {error}{_URL_FORM}")
        return
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme != "https":
        yield invalid(field, parts.scheme, f"'https' is the only allowed URL scheme{_URL_FORM}")
    if not host:
        yield invalid(field, "", f"host must be specified{_URL_FORM}")
    if at:
        yield invalid(field, user, "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(field, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(field, parts.query, "query parameters are not permitted in the URL")


def _service(field: str, service: Manifest) -> Iterator[FieldError]:
    for member in ("name", "namespace"):
        if not service.get(member):
            yield required(f"{field}.{member}", f"service {member} is required")
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        yield invalid(f"{field}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    yield from _path(f"{field}.path", service.get("path") or "/")


def _path(field: str, path: str) -> Iterator[FieldError]:
    if path == "/":
        return
    if path == "//":
        yield invalid(field, path, "segment[0] may not be empty")
        return
    if not path.startswith("/"):
        yield invalid(field, path, "must start with a '/'")
    for i, segment in enumerate(path[1:].removesuffix("/").split("/")):
        if not segment:
            yield invalid(field, path, f"segment[{i}] may not be empty")
        elif error := names.dns_subdomain(segment):
            yield invalid(field, path, f"segment[{i}]: {error}")


def cells(configuration: Manifest, now: datetime) -> list[Any]:
    metadata = configuration["metadata"]
    webhooks = configuration.get("webhooks", ())
    return [metadata["name"], len(webhooks), age(metadata.get("creationTimestamp"), now)]


def content(configuration: Manifest) -> Any:
    """The part of which a change raises the generation (A78)."""
    return configuration.get("webhooks")
