"""What can go wrong with a registry, in containerd's words: users and their tools know them."""

from __future__ import annotations

from copy import copy
from typing import Self


class PullFailed(Exception):
    """The image cannot be had; the message is for an event. `code` is gRPC's word, where the kubelet shows one."""

    code = ""

    def within(self, what: str) -> Self:
        """The same failure, told from further out."""
        told = copy(self)
        told.args = (f"{what}: {self}",)
        return told


class NotFound(PullFailed):
    """The registry answered that it has no such thing."""

    code = "NotFound"


class Denied(PullFailed):
    """The registry does not give it to us."""


class WrongContent(PullFailed):
    """What arrived is not what was asked for, by digest or size."""

    code = "FailedPrecondition"


class Unreachable(PullFailed):
    """Nobody answered."""


class Broken(PullFailed):
    """The answer came in part, or was one of a server in trouble: another try may go better."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
