"""One call on one resource: who asks for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from holdfast.api.errors import AlreadyExists, ApiError, Conflict, FieldError, Forbidden, NotFound, invalid_object
from holdfast.api.resource import Resource

from .auth.user import User
from .options import NO_OPTIONS, WriteOptions

_E = TypeVar("_E", bound=ApiError)

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(slots=True)
class Call:
    user: User
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    options: WriteOptions = NO_OPTIONS
    warnings: list[str] = field(default_factory=list)
    """Texts for the client, in order."""
    manager: str = ""
    """To whom the fields belong that this call writes."""

    # -- refusals that name what the call is about

    def not_found(self) -> NotFound:
        return self._about(NotFound, f'{self.resource.qualified} "{self.name}" not found')

    def already_exists(self, name: str, addition: str = "") -> AlreadyExists:
        error = self._about(AlreadyExists, f'{self.resource.qualified} "{name}" already exists{addition}')
        error.name = name
        return error

    def conflict(self, detail: str = MODIFIED) -> Conflict:
        return self._about(
            Conflict, f'Operation cannot be fulfilled on {self.resource.qualified} "{self.name}": {detail}'
        )

    def forbidden(self, detail: str, causes: Sequence[FieldError] = ()) -> Forbidden:
        """Refused by admission (A58)."""
        subject = f'{self.resource.qualified} "{self.name}"' if self.name else self.resource.qualified
        error = self._about(Forbidden, f"{subject} is forbidden: {detail}")
        error.causes = causes
        return error

    def invalid(self, errors: Sequence[FieldError]) -> ApiError:
        return invalid_object(self.resource.kind, self.resource.group, self.name, errors)

    def _about(self, kind: type[_E], message: str) -> _E:
        return kind(message, name=self.name, group=self.resource.group, kind=self.resource.plural)
