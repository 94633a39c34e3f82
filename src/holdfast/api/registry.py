"""Every kind, in the order discovery lists them (A19); a new kind is a file and a line here."""

from __future__ import annotations

from functools import cache

from .admissionregistration.mutating_admission_policy import MUTATING_ADMISSION_POLICIES
from .admissionregistration.mutating_admission_policy_binding import MUTATING_ADMISSION_POLICY_BINDINGS
from .admissionregistration.mutating_webhook_configuration import MUTATING_WEBHOOK_CONFIGURATIONS
from .admissionregistration.validating_admission_policy import VALIDATING_ADMISSION_POLICIES
from .admissionregistration.validating_admission_policy_binding import VALIDATING_ADMISSION_POLICY_BINDINGS
from .admissionregistration.validating_webhook_configuration import VALIDATING_WEBHOOK_CONFIGURATIONS
from .apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from .apps.controller_revision import CONTROLLER_REVISIONS
from .apps.daemon_set import DAEMON_SETS
from .apps.deployment import DEPLOYMENTS
from .apps.replica_set import REPLICA_SETS
from .apps.stateful_set import STATEFUL_SETS
from .authentication.reviews import SELF_SUBJECT_REVIEWS, TOKEN_REVIEWS
from .authorization.reviews import (
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
)
from .autoscaling.horizontal_pod_autoscaler import HORIZONTAL_POD_AUTOSCALERS
from .autoscaling.horizontal_pod_autoscaler_v1 import HORIZONTAL_POD_AUTOSCALERS_V1
from .batch.cron_job import CRON_JOBS
from .batch.job import JOBS
from .certificates.certificate_signing_request import CERTIFICATE_SIGNING_REQUESTS
from .coordination.lease import LEASES
from .core.component_status import COMPONENT_STATUSES
from .core.config_map import CONFIG_MAPS
from .core.endpoints import ENDPOINTS
from .core.event import EVENTS
from .core.limit_range import LIMIT_RANGES
from .core.namespace import NAMESPACES
from .core.node import NODES
from .core.persistent_volume import PERSISTENT_VOLUMES
from .core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from .core.pod import PODS
from .core.pod_template import POD_TEMPLATES
from .core.replication_controller import REPLICATION_CONTROLLERS
from .core.resource_quota import RESOURCE_QUOTAS
from .core.secret import SECRETS
from .core.service import SERVICES
from .core.service_account import SERVICE_ACCOUNTS
from .discovery.endpoint_slice import ENDPOINT_SLICES
from .events.event import EVENTS as NEW_EVENTS
from .metrics.usage_metrics import NODE_METRICS, POD_METRICS
from .networking.ingress import INGRESSES
from .networking.ingress_class import INGRESS_CLASSES
from .networking.ip_address import IP_ADDRESSES
from .networking.network_policy import NETWORK_POLICIES
from .networking.service_cidr import SERVICE_CIDRS
from .node.runtime_class import RUNTIME_CLASSES
from .policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from .rbac.cluster_role import CLUSTER_ROLES
from .rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from .rbac.role import ROLES
from .rbac.role_binding import ROLE_BINDINGS
from .resource import Resource
from .scheduling.priority_class import PRIORITY_CLASSES
from .snapshots.volume_snapshot import VOLUME_SNAPSHOTS
from .snapshots.volume_snapshot_class import VOLUME_SNAPSHOT_CLASSES
from .snapshots.volume_snapshot_content import VOLUME_SNAPSHOT_CONTENTS
from .storage.csi_driver import CSI_DRIVERS
from .storage.csi_node import CSI_NODES
from .storage.csi_storage_capacity import CSI_STORAGE_CAPACITIES
from .storage.storage_class import STORAGE_CLASSES
from .storage.volume_attachment import VOLUME_ATTACHMENTS
from .storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES

RESOURCES: tuple[Resource, ...] = (
    COMPONENT_STATUSES,
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    LIMIT_RANGES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    POD_TEMPLATES,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    NEW_EVENTS,
    SELF_SUBJECT_REVIEWS,
    TOKEN_REVIEWS,
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    CRON_JOBS,
    JOBS,
    CERTIFICATE_SIGNING_REQUESTS,
    INGRESS_CLASSES,
    INGRESSES,
    IP_ADDRESSES,
    NETWORK_POLICIES,
    SERVICE_CIDRS,
    POD_DISRUPTION_BUDGETS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    CUSTOM_RESOURCE_DEFINITIONS,
    PRIORITY_CLASSES,
    LEASES,
    RUNTIME_CLASSES,
    ENDPOINT_SLICES,
    VOLUME_SNAPSHOTS,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOT_CLASSES,
)
"""The core group first: where two groups have a resource of one name, clients take the first."""

STORED = tuple(resource for resource in RESOURCES if resource.stored_as is None)
"""Without those whose objects are served under another name as well: each object once."""

MEASURED: tuple[Resource, ...] = (NODE_METRICS, POD_METRICS)
"""Served, but made when they are read: nothing of them is stored, defaulted or validated."""

_SERVED = (*RESOURCES, *MEASURED)
_BY_PLURAL = {(resource.group, resource.version, resource.plural): resource for resource in _SERVED}
_BY_KIND = {(resource.group, resource.version, resource.kind): resource for resource in RESOURCES}


def lookup(group: str, version: str, plural: str) -> Resource | None:
    """The resource behind `/apis/GROUP/VERSION/PLURAL`, the core group being empty."""
    return _BY_PLURAL.get((group, version, plural))


def by_plural() -> dict[tuple[str, str, str], Resource]:
    """All that `lookup` finds, by group, version and plural. Not to be changed."""
    return _BY_PLURAL


def by_kind(group: str, version: str, kind: str) -> Resource | None:
    return _BY_KIND.get((group, version, kind))


def by_api_version(api_version: str, kind: str) -> Resource | None:
    """The resource a manifest or an owner reference names by `apiVersion` and `kind`."""
    group, _, version = api_version.rpartition("/")
    return by_kind(group, version, kind)


def by_group_kind(group: str, kind: str) -> Resource | None:
    """The resource of any served version: references are compared by group and kind only (A320)."""
    return next((resource for resource in RESOURCES if (resource.group, resource.kind) == (group, kind)), None)


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """The versions of each group, preferred first, in discovery order; the core group is the empty name.

    Not to be changed.
    """
    versions: dict[str, dict[str, None]] = {}
    for resource in _SERVED:
        versions.setdefault(resource.group, {})[resource.version] = None
    return {group: tuple(names) for group, names in versions.items()}


def in_group_version(group: str, version: str) -> tuple[Resource, ...]:
    return tuple(resource for resource in _SERVED if (resource.group, resource.version) == (group, version))
