"""What the names below the cluster's domain mean: from services and endpoint slices to answers (D52-D63).

Names are handled as tuples of lower-case labels. Every change costs as much as the object that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from holdfast.api.resource import Manifest

from .names import Name, address_of, name_of, undashed
from .published import NOTHING, Endpoint, Port, Service, Slice, all_of, read_service, read_slice

TTL_S = 5

NEGATIVE_TTL_S = 0
"""Of what does not exist, carried by the SOA: a name is found the moment its endpoint is ready, since no resolver on
the way remembers that it was not (D63, kubernetes#127259)."""

MOST_TARGETS = 500
"""Of a headless service, in one answer to SRV: more would fit into no message."""

Type = Literal["A", "AAAA", "SRV", "CNAME", "PTR", "TXT", "SOA", "NS"]


@dataclass(frozen=True, slots=True)
class Record:
    name: Name
    type: Type
    data: tuple[Any, ...]
    """A, AAAA: (address,). SRV: (priority, weight, port, target). CNAME, PTR, NS: (target,). TXT: (text,)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`exists` False is NXDOMAIN; an existing name without records of the type is NODATA."""

    exists: bool
    records: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    is_cut: bool = False
    """Whether there are more records than were asked for: these are some of them, at random."""


NO_SUCH_NAME = Answer(False)
NO_DATA = Answer(True)


@dataclass(slots=True)
class _Ahead:
    """What pods of one service say that its slices do not say yet."""

    come: dict[Endpoint, None] = field(default_factory=dict)
    """In order."""
    gone: set[Endpoint] = field(default_factory=set)


class Zone:
    """All that is below one domain, such as `cluster.local`."""

    def __init__(
        self, domain: str, random: Random, pod_exists: Callable[[str, str], bool] = lambda namespace, ip: False
    ) -> None:
        """`pod_exists` says whether a pod of that namespace has that address (D58)."""
        self.domain: Name = name_of(domain)
        self._random = random
        self._pod_exists = pod_exists
        self._namespaces: set[str] = set()
        self._services: dict[tuple[str, str], Service] = {}
        self._slices: dict[str, Slice] = {}
        self._slices_of: dict[tuple[str, str], dict[str, Slice]] = {}
        self._ahead: dict[tuple[str, str], _Ahead] = {}
        self._reverse: dict[str, dict[tuple[str, ...], Name]] = {}
        """Address to names; each under the object and the name it is from."""

    # Keeping it

    def set_namespace(self, name: str, exists: bool) -> None:
        (self._namespaces.add if exists else self._namespaces.discard)(name)

    def set_service(self, key: str, service: Manifest | None) -> None:
        namespace, _, name = key.partition("/")
        for address in self._services.pop((namespace, name), NOTHING).addresses:
            self._drop_reverse(address, ("service", key))
        if service is None:
            self._ahead.pop((namespace, name), None)
            return
        made = self._services[namespace, name] = read_service(service)
        for address in made.addresses:
            self._reverse.setdefault(address, {})["service", key] = self._service_name(namespace, name)

    def set_slice(self, key: str, slice: Manifest | None) -> None:
        old = self._slices.pop(key, None)
        if old is not None:
            del self._slices_of[old.service][key]
            if not self._slices_of[old.service]:
                del self._slices_of[old.service]
            for endpoint in all_of(old):
                for address in endpoint.addresses:
                    self._drop_reverse(address, ("slice", key, endpoint.label))
        made = read_slice(slice) if slice is not None else None
        if made is not None:
            self._slices[key] = made
            self._slices_of.setdefault(made.service, {})[key] = made
        for each in (old, made):
            if each is not None and (ahead := self._ahead.get(each.service)) is not None:
                told = ahead.come.keys() | ahead.gone
                self._settle(each.service, [endpoint for endpoint in all_of(each) if endpoint in told])
        if made is None:
            return
        for endpoint in all_of(made):
            name = (endpoint.label, *self._service_name(*made.service))
            for address in endpoint.addresses:
                self._reverse.setdefault(address, {})["slice", key, endpoint.label] = name

    def note(self, service: tuple[str, str], before: Iterable[Endpoint], after: Iterable[Endpoint]) -> None:
        """A pod of the service was these endpoints, and is those; its slices will say so too."""
        ahead = self._ahead.setdefault(service, _Ahead())
        before, after = list(before), list(after)
        for endpoint in before:
            ahead.come.pop(endpoint, None)
            ahead.gone.add(endpoint)
        for endpoint in after:
            ahead.gone.discard(endpoint)
            ahead.come[endpoint] = None
        self._settle(service, [*before, *after])

    def _settle(self, service: tuple[str, str], endpoints: Iterable[Endpoint]) -> None:
        """Forgets what the slices say too by now."""
        ahead = self._ahead[service]
        slices = self._slices_of.get(service, {}).values()
        for endpoint in endpoints:
            is_listed = any(endpoint in slice.endpoints.get(endpoint.label, ()) for slice in slices)
            if is_listed:
                ahead.come.pop(endpoint, None)
            else:
                ahead.gone.discard(endpoint)
        if not ahead.come and not ahead.gone:
            del self._ahead[service]

    def _endpoints(self, service: tuple[str, str], label: str | None = None) -> list[Endpoint]:
        """The service's, or those of them with the label: as pods say, else as slices do."""
        slices = self._slices_of.get(service, {}).values()
        if label is None:
            found = [each for slice in slices for each in all_of(slice)]
        else:
            found = [each for slice in slices for each in slice.endpoints.get(label, ())]
        if (ahead := self._ahead.get(service)) is None:
            return found
        stay = [each for each in found if each not in ahead.gone]
        return stay + [each for each in ahead.come if label in (None, each.label)]

    def _drop_reverse(self, address: str, source: tuple[str, ...]) -> None:
        names = self._reverse.get(address)
        if names is not None:
            names.pop(source, None)
            if not names:
                del self._reverse[address]

    def _service_name(self, namespace: str, name: str) -> Name:
        return (name, namespace, "svc", *self.domain)

    # Answering

    def contains(self, name: Name) -> bool:
        """Whether the zone is authoritative for the name: then nobody else is asked (D60)."""
        return name[-len(self.domain) :] == self.domain

    def answer(self, name: Name, type: str, most: int | None = None) -> Answer:
        """For a name that the zone contains. A CNAME is not followed here.

        Of a headless service's addresses at most `most` are told, so that a large one costs no more than is sent.
        """
        below = name[: -len(self.domain)]
        if not below:
            return self._apex(name, type)
        match below[-1]:
            case "svc":
                return self._below_svc(name, below[:-1], type, most)
            case "pod":
                return self._below_pod(name, below[:-1], type)
        if below == ("dns-version",):
            return _of_type(type, [Record(name, "TXT", ("1.1.0",))])
        if below in (("dns",), ("ns", "dns")):
            return NO_DATA
        return NO_SUCH_NAME

    def reverse(self, name: Name, type: str) -> Answer | None:
        """For a name below in-addr.arpa or ip6.arpa; None if the address is none of the cluster's (D56)."""
        address = address_of(name)
        names = self._reverse.get(address) if address else None
        if not names:
            return None
        return _of_type(type, [Record(name, "PTR", (target,)) for target in dict.fromkeys(names.values())])

    def _apex(self, name: Name, type: str) -> Answer:
        return _of_type(type, [Record(name, "SOA", ()), Record(name, "NS", (("ns", "dns", *self.domain),))])

    def _below_svc(self, name: Name, labels: Name, type: str, most: int | None) -> Answer:
        if not labels:
            return NO_DATA
        namespace = labels[-1]
        if len(labels) == 1:
            return NO_DATA if namespace in self._namespaces else NO_SUCH_NAME
        key = (namespace, labels[-2])
        service = self._services.get(key)
        if service is None:
            return NO_SUCH_NAME
        match labels[:-2]:
            case ():
                return self._service_itself(name, key, service, type, most)
            case (label,) if label.startswith("_"):
                return self._protocol_node(service, key, label)
            case (label,):
                return self._endpoint(name, key, label, type)
            case (port, protocol) if port.startswith("_") and protocol.startswith("_"):
                return self._srv(name, key, service, port[1:], protocol[1:], type)
        return NO_SUCH_NAME

    def _service_itself(
        self, name: Name, key: tuple[str, str], service: Service, type: str, most: int | None
    ) -> Answer:
        if service.alias:
            return Answer(True, [Record(name, "CNAME", (name_of(service.alias),))])
        if service.is_headless and not self._has_endpoints(key):
            return NO_SUCH_NAME  # D53
        if type == "SRV":
            return self._srv(name, key, service, None, "", type)
        if not service.is_headless:
            return _of_type(type, self._shuffled(_addresses(name, service.addresses)))
        found = [
            address for each in ("A", "AAAA") if type in (each, "ANY") for address in self._addresses_of(key, each)
        ]
        if most is not None and len(found) > most:
            return Answer(True, _addresses(name, self._random.sample(found, most)), is_cut=True)
        return Answer(True, self._shuffled(_addresses(name, found)))

    def _has_endpoints(self, service: tuple[str, str]) -> bool:
        if service in self._ahead:
            return bool(self._endpoints(service))
        return any(slice.endpoints for slice in self._slices_of.get(service, {}).values())

    def _addresses_of(self, service: tuple[str, str], type: str) -> list[str]:
        """Of all endpoints."""
        if service in self._ahead:
            found = [address for each in self._endpoints(service) for address in each.addresses]
            return [address for address in found if (":" in address) == (type == "AAAA")]
        return [address for slice in self._slices_of.get(service, {}).values() for address in slice.addresses[type]]

    def _protocol_node(self, service: Service, key: tuple[str, str], label: str) -> Answer:
        """`_tcp.web...` has no records but is the parent of some."""
        ports = {*service.ports, *(port for slice in self._slices_of.get(key, {}).values() for port in slice.ports)}
        return NO_DATA if any(f"_{port.protocol}" == label and port.name for port in ports) else NO_SUCH_NAME

    def _endpoint(self, name: Name, key: tuple[str, str], label: str, type: str) -> Answer:
        found = self._endpoints(key, label)
        if not found:
            return NO_SUCH_NAME
        addresses = dict.fromkeys(address for each in found for address in each.addresses)
        return _of_type(type, self._shuffled(_addresses(name, addresses)))

    def _srv(
        self, name: Name, key: tuple[str, str], service: Service, port: str | None, protocol: str, type: str
    ) -> Answer:
        """Of a headless service one for each ready endpoint, with the endpoint's port (D55, D73)."""
        if service.is_headless:
            targets = self._endpoint_targets(key, port, protocol)
            targets = self._random.sample(targets, min(len(targets), MOST_TARGETS))
        else:
            own = self._service_name(*key)
            chosen = [each for each in service.ports if _is_asked_for(each, port, protocol)]
            targets = [(own, each.number, service.addresses) for each in chosen]
        if not targets:
            return NO_SUCH_NAME
        weight = max(1, 100 // len(targets))
        records = self._shuffled([Record(name, "SRV", (0, weight, number, target)) for target, number, _ in targets])
        additional = [record for target, _, addresses in targets for record in _addresses(target, addresses)]
        return Answer(True, records, list(dict.fromkeys(additional))) if type in ("SRV", "ANY") else NO_DATA

    def _endpoint_targets(
        self, key: tuple[str, str], port: str | None, protocol: str
    ) -> list[tuple[Name, int, tuple[str, ...]]]:
        own = self._service_name(*key)
        gone = self._ahead[key].gone if key in self._ahead else ()
        found = {}
        for slice in self._slices_of.get(key, {}).values():
            for each in slice.ports:
                if not _is_asked_for(each, port, protocol):
                    continue
                for endpoint in (endpoint for endpoint in all_of(slice) if endpoint not in gone):
                    target = (endpoint.label, *own)
                    found[target, each.number] = (target, each.number, endpoint.addresses)
        return list(found.values())

    def _below_pod(self, name: Name, labels: Name, type: str) -> Answer:
        if not labels:
            return NO_DATA
        if labels[-1] not in self._namespaces:
            return NO_SUCH_NAME
        if len(labels) == 1:
            return NO_DATA
        address = undashed(labels[0]) if len(labels) == 2 else ""
        if not address or not self._pod_exists(labels[1], address):
            return NO_SUCH_NAME
        return _of_type(type, _addresses(name, [address]))

    def _shuffled(self, records: list[Record]) -> list[Record]:
        self._random.shuffle(records)
        return records


def _is_asked_for(port: Port, name: str | None, protocol: str) -> bool:
    """None asks for every port, those without a name among them."""
    return name is None or (bool(name) and port.name == name and port.protocol == protocol)


def _addresses(name: Name, addresses: Iterable[str]) -> list[Record]:
    return [Record(name, "AAAA" if ":" in address else "A", (address,)) for address in addresses]


def _of_type(type: str, records: Sequence[Record]) -> Answer:
    """Those of the type asked for; NODATA if there are only others (D59)."""
    return Answer(True, [record for record in records if type in (record.type, "ANY")])
