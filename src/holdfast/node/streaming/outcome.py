"""How a command's end is told to its client (A170). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Status = dict[str, Any]

SUCCESS: Status = {"metadata": {}, "status": "Success"}


def of_exit(exit_code: int, command: Sequence[str]) -> Status:
    if exit_code == 0:
        return SUCCESS
    failed = f"error executing command [{' '.join(command)}], exit code {exit_code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {failed}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


def of_failure(cause: str) -> Status:
    """The command could not be run at all."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {cause}",
        "reason": "InternalError",
        "details": {"causes": [{"message": cause}]},
        "code": 500,
    }
