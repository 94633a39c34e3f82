"""The addresses of a Service and their families: what goes together, what may not change, what is filled in (D13)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from holdfast.api.errors import FieldError, duplicate, invalid, required
from holdfast.api.field_rules import ip_address, supported
from holdfast.api.resource import Manifest

HEADLESS = "None"
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")


def is_headless(spec: Manifest) -> bool:
    return spec.get("clusterIPs") == [HEADLESS]


def serves_any_family(spec: Manifest) -> bool:
    """A headless service without selector leads wherever its owner says."""
    return spec.get("clusterIP") == HEADLESS and not spec.get("selector")


def cluster_addresses(spec: Manifest) -> Iterator[FieldError]:
    """What is wrong with addresses and families; those of an ExternalName, which has none, are looked at elsewhere."""
    if spec.get("type") == "ExternalName":
        return
    addresses = spec.get("clusterIPs") or []
    yield from _both_fields(spec.get("clusterIP", ""), addresses)
    families = spec.get("ipFamilies") or []
    for i, family in enumerate(families):
        yield from supported(f"spec.ipFamilies[{i}]", family, _FAMILIES)
        if family in families[:i]:
            yield duplicate(f"spec.ipFamilies[{i}]", family)
    if "ipFamilyPolicy" in spec:
        yield from supported("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], _FAMILY_POLICIES)
    malformed = [*_each_address(addresses)]
    yield from malformed
    if len(addresses) > 2:
        yield invalid("spec.clusterIPs", addresses, "may only hold up to 2 values")
    if not malformed:
        yield from _one_of_each_family(addresses, families)


def _both_fields(address: str, addresses: list[str]) -> Iterator[FieldError]:
    if address and not addresses:
        yield required("spec.clusterIPs")
    elif address and addresses[0] != address:
        yield invalid("spec.clusterIPs", addresses, "first value must match `clusterIP`")
    elif addresses and not address:
        yield invalid("spec.clusterIPs", addresses, "must be empty when `clusterIP` is not specified")


def _each_address(addresses: list[str]) -> Iterator[FieldError]:
    for i, address in enumerate(addresses):
        if i > 0 or address != HEADLESS:
            yield from ip_address(f"spec.clusterIPs[{i}]", address)
        elif len(addresses) > 1:
            yield invalid("spec.clusterIPs", addresses, "'None' must be the first and only value")


def _one_of_each_family(addresses: list[str], families: list[str]) -> Iterator[FieldError]:
    if addresses in ([], [HEADLESS]):
        return
    found = [family_of(address) for address in addresses]
    if len(addresses) > 1 and len(set(found)) < 2:
        yield invalid("spec.clusterIPs", addresses, "may specify no more than one IP for each IP family")
    for i, (address, family, wanted) in enumerate(zip(addresses, found, families, strict=False)):
        if wanted in _FAMILIES and family != wanted:
            refusal = f"expected an {wanted} value as indicated by `ipFamilies[{i}]`"
            yield invalid(f"spec.clusterIPs[{i}]", address, refusal)


def family_of(address: str) -> str:
    """Of a valid address."""
    return f"IPv{ipaddress.ip_address(address).version}"


def kept_addresses(now: Manifest, then: Manifest) -> Iterator[FieldError]:
    """The first address and its family never change, unless the type has none; a second one may come and go."""
    if "ExternalName" in (now.get("type"), then.get("type")):
        return
    if is_headless(now) and is_headless(then):
        return
    yield from _kept("spec.clusterIPs", now, then, "clusterIPs", "primary clusterIP can not be unset", "clusterIP")
    if not is_headless(now) and not is_headless(then):
        yield from _kept("spec.ipFamilies", now, then, "ipFamilies", "primary ipFamily can not be unset", "ipFamily")


def _kept(field: str, now: Manifest, then: Manifest, member: str, unset: str, one: str) -> Iterator[FieldError]:
    new, old = now.get(member) or [], then.get(member) or []
    if len(new) == len(old):
        for i, (value, before) in enumerate(zip(new, old, strict=True)):
            if value != before:
                # Of families upstream always names the first.
                index = i if member == "clusterIPs" else 0
                yield invalid(f"{field}[{index}]", new, "may not change once set")
        return
    if len(old) > len(new) and not now.get("clusterIPs"):
        yield invalid(f"{field}[0]", new or None, unset)
    if new and old and new[0] != old[0]:
        # Also of families upstream shows the addresses here.
        yield invalid(f"{field}[0]", now.get("clusterIPs") or None, "may not change once set")
    if len(old) > len(new) == 1 and now.get("ipFamilyPolicy") != "SingleStack":
        refusal = f"must be set to 'SingleStack' when releasing the secondary {one}"
        yield invalid("spec.ipFamilyPolicy", now.get("ipFamilyPolicy"), refusal)


def settle_families(spec: Manifest, before: Manifest | None, configured: Sequence[str] = ("IPv4",)) -> list[FieldError]:
    """Fills in policy and families; returns what keeps it from that.

    `before` is the stored spec on an update, `configured` the families of the cluster, the one it prefers first. The
    spec is private and has a type other than ExternalName.
    """
    before = before or {}
    if _still_prefers_both(spec, before):
        return []
    if not spec.get("ipFamilyPolicy"):
        default = "RequireDualStack" if serves_any_family(spec) else "SingleStack"
        spec["ipFamilyPolicy"] = before.get("ipFamilyPolicy") or default
    if errors := [*cluster_addresses(spec)]:
        return errors
    if errors := [*_policy_errors(spec, before), *_infer_families(spec, configured)]:
        return errors
    if not serves_any_family(spec) and (errors := [*_not_configured(spec, configured)]):
        return errors
    families = spec.get("ipFamilies") or [configured[0]]
    wants_both = spec["ipFamilyPolicy"] != "SingleStack" and (len(configured) > 1 or serves_any_family(spec))
    if wants_both and len(families) == 1:
        families = [*families, "IPv6" if families[0] == "IPv4" else "IPv4"]
    spec["ipFamilies"] = families
    return []


def _still_prefers_both(spec: Manifest, before: Manifest) -> bool:
    """What such a service was given stays, however the cluster has changed."""
    if not spec.get("ipFamilyPolicy") == before.get("ipFamilyPolicy") == "PreferDualStack":
        return False
    return all(spec.get(member) == before.get(member) for member in ("clusterIPs", "ipFamilies"))


def _policy_errors(spec: Manifest, before: Manifest) -> Iterator[FieldError]:
    field, policy = "spec.ipFamilyPolicy", spec["ipFamilyPolicy"]
    for member, one, many in (("clusterIPs", "cluster IP", "cluster IPs"), ("ipFamilies", "IP family", "IP families")):
        new, old = spec.get(member) or [], before.get(member) or []
        if policy == "SingleStack" and new == old and len(new) > 1:
            spec[member] = new = new[:1]
        elif policy != "SingleStack" and old and 0 < len(new) < len(old) and old[: len(new)] == new:
            yield invalid(field, policy, f"must be 'SingleStack' to release the secondary {one}")
        if policy == "SingleStack" and len(new) == 2:
            refusal = f"must be RequireDualStack or PreferDualStack when multiple {many} are specified"
            yield invalid(field, policy, refusal)


def _infer_families(spec: Manifest, configured: Sequence[str]) -> Iterator[FieldError]:
    families = spec.get("ipFamilies") or []
    for i, address in enumerate(spec.get("clusterIPs") or ()):
        if address == HEADLESS:
            return
        if i < len(families):
            continue
        family = family_of(address)
        if family not in configured:
            yield invalid(f"spec.clusterIPs[{i}]", spec["clusterIPs"], f"{family} is not configured on this cluster")
        else:
            spec["ipFamilies"] = families = [*families, family]


def _not_configured(spec: Manifest, configured: Sequence[str]) -> Iterator[FieldError]:
    if spec["ipFamilyPolicy"] == "RequireDualStack" and len(configured) < 2:
        refusal = "this cluster is not configured for dual-stack services"
        yield invalid("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], refusal)
    for i, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in configured:
            yield invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster")
