"""Numbers out of ranges, and what is in use of them: addresses of one family, ports."""

from __future__ import annotations

import random
from itertools import chain
from typing import Protocol

from holdfast.api.networking.service_cidr import Network

TRIES = 32


class Pool:
    """Numbers from `first` to `last`, and how often each is taken. The lowest `band` is kept for who asks by number.

    `taken` may be shared among pools, whose ranges may overlap.
    """

    def __init__(
        self, first: int, last: int, band: int, chance: random.Random, taken: dict[int, int] | None = None
    ) -> None:
        self.first = first
        self.last = last
        self._free_from = first + band if first + band <= last else first
        self._chance = chance
        self.taken: dict[int, int] = {} if taken is None else taken

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def is_taken(self, number: int) -> bool:
        return number in self.taken

    def take(self, number: int) -> None:
        self.taken[number] = self.taken.get(number, 0) + 1

    def give_back(self, number: int) -> None:
        if (count := self.taken.get(number, 0) - 1) > 0:
            self.taken[number] = count
        else:
            self.taken.pop(number, None)

    def free(self) -> int | None:
        """A number nobody has, by chance; one of the band when nothing else is left, None when nothing is."""
        for _ in range(TRIES if self.first <= self.last else 0):
            number = self._chance.randint(self._free_from, self.last)
            if number not in self.taken:
                return number
        candidates = chain(range(self._free_from, self.last + 1), range(self.first, self._free_from))
        return next((number for number in candidates if number not in self.taken), None)


class Numbers(Protocol):
    """What is taken from: a pool, or several."""

    def take(self, number: int) -> None: ...

    def give_back(self, number: int) -> None: ...


class Reservation:
    """What one request has taken, until it ends: what became an object is counted from the object by then."""

    def __init__(self, own: set[int], pool: Numbers) -> None:
        self._own = own
        self._pool = pool
        self._taken: set[int] = set()

    def has(self, number: int) -> bool:
        """It is the object's already."""
        return number in self._own or number in self._taken

    def take(self, number: int) -> int:
        if not self.has(number):
            self._taken.add(number)
            self._pool.take(number)
        return number

    def end(self) -> None:
        for number in self._taken:
            self._pool.give_back(number)


class Addresses:
    """Those of one family: out of the cluster's own range, and of further ones by their name."""

    def __init__(self, network: Network, chance: random.Random) -> None:
        self._taken: dict[int, int] = {}
        self._chance = chance
        self.own = _pool(network, chance, self._taken)
        self._more: dict[str, Pool] = {}
        self._make = type(network.network_address)

    def add_range(self, name: str, network: Network) -> None:
        self._more[name] = _pool(network, self._chance, self._taken)

    def drop_range(self, name: str) -> None:
        self._more.pop(name, None)

    def __contains__(self, number: int) -> bool:
        return any(number in pool for pool in (self.own, *self._more.values()))

    def is_taken(self, number: int) -> bool:
        return number in self._taken

    def take(self, number: int) -> None:
        self.own.take(number)

    def give_back(self, number: int) -> None:
        self.own.give_back(number)

    def free(self) -> int | None:
        """Of any range, by chance, as upstream takes them; None when all are full."""
        pools = [self.own, *self._more.values()]
        if len(pools) > 1:
            self._chance.shuffle(pools)
        return next((number for pool in pools if (number := pool.free()) is not None), None)

    def text(self, number: int) -> str:
        return str(self._make(number))


def _pool(network: Network, chance: random.Random, taken: dict[int, int]) -> Pool:
    """All but the network's own address and, of IPv4, the last, which is for everybody there."""
    size, lowest = network.num_addresses, int(network.network_address)
    last = lowest + size - (2 if network.version == 4 else 1)
    return Pool(lowest + 1, last, min(max(16, size // 16), 256), chance, taken)
