"""The process of one pull: a request comes on standard input, progress and outcome go out, a JSON line each.

It ends when its input does, so that nobody is left pulling for an agent that is gone. What it is told of
credentials is in no command line and no log.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from holdfast.node.runtime import Credentials, PullProgress

from .pulling import pull
from .references import parse
from .registry.failures import PullFailed, Unreachable
from .registry.registry import Registry
from .registry.settings import BadSettings, read_settings
from .store import ImageStore


class Request(msgspec.Struct):
    """What to pull, and where to."""

    store: str
    settings: str
    reference: str
    credentials: list[Credentials] = []
    """Tried in this order."""


class Line(msgspec.Struct, omit_defaults=True):
    """Progress, or the outcome: an image's id or a failure."""

    progress: PullProgress | None = None
    id: str = ""
    failure: str = ""
    is_unreachable: bool = False


async def _pull(request: Request) -> Line:
    reference = parse(request.reference)
    try:
        settings = read_settings(Path(request.settings))
    except BadSettings as error:
        return Line(failure=str(error))
    failures: list[PullFailed] = []
    for credentials in _to_try(request.credentials, settings.credentials(reference.registry)):
        try:
            async with Registry(reference, settings, credentials) as registry:
                return Line(id=await pull(ImageStore(Path(request.store)), reference, registry, _tell))
        except PullFailed as error:
            failures.append(error)
            if isinstance(error, Unreachable):
                break
        except OSError as error:
            return Line(failure=f'failed to pull and unpack image "{reference}": {error}')
    return Line(failure=_together(failures), is_unreachable=isinstance(failures[-1], Unreachable))


def _to_try(given: Sequence[Credentials], own: Credentials | None) -> list[Credentials | None]:
    """The pod's, then the node's; nobody's only where there are none, as the kubelet does it."""
    return [*given, *([own] if own else ())] or [None]


def _together(failures: Sequence[PullFailed]) -> str:
    """One failure as it is, several as Kubernetes lists errors, with gRPC's codes where the kubelet shows them."""
    texts = dict.fromkeys(
        f"rpc error: code = {failure.code} desc = {failure}" if failure.code else str(failure) for failure in failures
    )
    return next(iter(texts)) if len(texts) == 1 else f"[{', '.join(texts)}]"


def _tell(progress: PullProgress) -> None:
    _write(Line(progress=progress))


def _write(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


async def _main(request: Request) -> None:
    task = asyncio.ensure_future(_pull(request))

    def on_input() -> None:
        if not os.read(sys.stdin.fileno(), 1 << 12):
            task.cancel()

    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), on_input)
    _write(await task)
    os._exit(0)  # all is on disk; a look-up of a name may go on in its thread for as long as nobody answers it


def _first_line() -> bytes:
    """No more than that: what follows on standard input is its end."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:
        return unbuffered.readline()


def main() -> None:
    try:
        asyncio.run(_main(msgspec.json.decode(_first_line(), type=Request)))
    except (asyncio.CancelledError, BrokenPipeError, KeyboardInterrupt):
        os._exit(1)


if __name__ == "__main__":
    main()
