"""What the controllers of certificate signing requests look at. Keys are requests."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from holdfast.api.authorization.reviews import SUBJECT_ACCESS_REVIEWS
from holdfast.api.certificates.certificate_signing_request import CERTIFICATE_SIGNING_REQUESTS
from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.client import Client
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from . import plan
from .own_names import ObservedServing, Reserved, is_for_serving, plan_serving
from .plan import ObservedAge, ObservedApproval, ObservedRequest, Order
from .request import Asked, NotReadable, asked
from .rules import NODE

Sign = Callable[[Order], str]
"""From an order to the certificate, as PEM. May block. The key stays with whoever made this."""


class RequestApproval:
    """Approves requests of those who may have them without being asked about."""

    name = "certificatesigningrequest-approving-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._requests = informers.of(CERTIFICATE_SIGNING_REQUESTS)

        def on_request(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and not plan.is_decided(new):
                queue.add(key_of(new))

        self._requests.subscribe(on_request)

    def observe(self, key: str) -> ObservedApproval | None:
        request = self._requests.get(key)
        if request is None or plan.is_decided(request) or (read := _read(request)) is None:
            return None
        return ObservedApproval(request, read)

    async def verify(self, observed: ObservedApproval, client: Client) -> ObservedApproval | None:
        """Asks the API server whether the requestor may."""
        for right in plan.rights(observed.request, observed.asked):
            review = await client.create(SUBJECT_ACCESS_REVIEWS, _review(observed.request["spec"], right))
            if review["status"]["allowed"]:
                return replace(observed, granted=right)
        return observed

    def plan(self, observed: ObservedApproval) -> Plan:
        return plan.plan_approval(observed)


def _review(spec: Manifest, right: str) -> Manifest:
    kind = CERTIFICATE_SIGNING_REQUESTS
    attributes = {"verb": "create", "group": kind.group, "version": "*", "resource": kind.plural, "subresource": right}
    subject: Manifest = {member: spec[member] for member in ("uid", "groups", "extra") if member in spec}
    asked = {"user": spec.get("username", ""), **subject, "resourceAttributes": attributes}
    return {"metadata": {}, "spec": asked}


class ServingApproval:
    """Approves serving certificates of nodes for what is theirs (`own_names`)."""

    name = "node-serving-approving-controller"
    concurrency = 1

    def __init__(self, reserved: Reserved) -> None:
        """`reserved` are the addresses of services, of pods and of the API server."""
        self._reserved = reserved

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._requests, self._nodes = informers.of(CERTIFICATE_SIGNING_REQUESTS), informers.of(NODES)

        def on_request(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and is_for_serving(new) and not plan.is_decided(new):
                queue.add(key_of(new))

        def on_node(old: Manifest | None, new: Manifest | None) -> None:
            if old is not None and new is not None and _addresses(old) == _addresses(new):
                return
            for request in self._requests.list():
                on_request(None, request)

        self._requests.subscribe(on_request)
        self._nodes.subscribe(on_node)

    def observe(self, key: str) -> ObservedServing | None:
        request = self._requests.get(key)
        if request is None or plan.is_decided(request) or (read := _read(request)) is None:
            return None
        name = read.common_name.removeprefix(NODE)
        node = self._nodes.get(name)
        others = {
            address: other["metadata"]["name"]
            for other in self._nodes.list()
            if other["metadata"]["name"] != name
            for address in _addresses(other)
        }
        return ObservedServing(request, read, _addresses(node) if node else (), others, self._reserved)

    def plan(self, observed: ObservedServing) -> Plan:
        return plan_serving(observed)


def _addresses(node: Manifest) -> list[str]:
    """Of all sorts but names."""
    listed = (node.get("status") or {}).get("addresses") or ()
    return [each["address"] for each in listed if each.get("type") in ("InternalIP", "ExternalIP")]


class RequestSigning:
    """Signs what was approved for one of Kubernetes' own signers."""

    name = "certificatesigningrequest-signing-controller"
    concurrency = 1

    def __init__(self, clock: Clock, sign: Sign) -> None:
        self._clock = clock
        self._sign = sign

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._requests = informers.of(CERTIFICATE_SIGNING_REQUESTS)

        def on_request(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and plan.is_to_be_signed(new):
                queue.add(key_of(new))

        self._requests.subscribe(on_request)

    def observe(self, key: str) -> ObservedRequest | None:
        request = self._requests.get(key)
        if request is None or not plan.is_to_be_signed(request) or (read := _read(request)) is None:
            return None
        return ObservedRequest(request, read, self._clock.now())

    async def verify(self, observed: ObservedRequest, client: Client) -> ObservedRequest | None:
        """Has it signed: the plan only says where the certificate goes."""
        if (order := plan.order(observed)) is None:
            return observed
        return replace(observed, certificate=await asyncio.to_thread(self._sign, order))

    def plan(self, observed: ObservedRequest) -> Plan:
        return plan.plan_signing(observed)


class RequestCleaning:
    """Removes requests that have served their purpose, or never will."""

    name = "certificatesigningrequest-cleaner-controller"
    concurrency = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._requests = informers.of(CERTIFICATE_SIGNING_REQUESTS)

        def on_request(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None:
                queue.add(key_of(new))

        self._requests.subscribe(on_request)

    def observe(self, key: str) -> ObservedAge | None:
        request = self._requests.get(key)
        return None if request is None else ObservedAge(request, self._clock.now(), _end(request))

    def plan(self, observed: ObservedAge) -> Plan:
        return plan.plan_cleaning(observed)


def _read(request: Manifest) -> Asked | None:
    """None for what the server could read when it was made, and this library cannot: nobody decides on it."""
    try:
        return asked(request)
    except NotReadable:
        return None


def _end(request: Manifest) -> datetime | None:
    """The moment at which the certificate ends."""
    certificate = (request.get("status") or {}).get("certificate")
    if not certificate:
        return None
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(base64.b64decode(certificate))[0].not_valid_after_utc
    except ValueError:
        return None
