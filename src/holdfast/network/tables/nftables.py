"""Rules into the kernel: through libnftables where it is installed, else through the `nft` program (R96).

Blocking, and to be called off the event loop. A libnftables context belongs to the network namespace of the
thread that made it (R97).
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from typing import Any, Protocol

LIBRARY = "libnftables.so.1"
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Nftables(Protocol):
    def run(self, commands: str) -> str:
        """All of `commands` in one transaction; what they print. Raises OSError, with nftables' words."""


def open_nftables() -> Nftables | None:
    """The better one of what is installed; None if there is neither."""
    try:
        return Library(ctypes.CDLL(LIBRARY))
    except OSError:
        return Program() if shutil.which("nft", path=SEARCH) else None


_ONE_AT_A_TIME = threading.Lock()
"""Contexts share what the library remembers of links and names."""


class Library:
    """libnftables in this process: a context of its own, one call at a time."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library: Any = library
        library.nft_ctx_new.restype = ctypes.c_void_p
        for name in ("nft_ctx_get_error_buffer", "nft_ctx_get_output_buffer"):
            getattr(library, name).restype = ctypes.c_char_p
        self._context = ctypes.c_void_p(library.nft_ctx_new(0))
        if not self._context:
            raise OSError("libnftables gives no context")
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_buffer_output(self._context)

    def run(self, commands: str) -> str:
        with _ONE_AT_A_TIME:
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            # Reading a buffer empties it: both are read whatever happened.
            errors = self._library.nft_ctx_get_error_buffer(self._context)
            output = self._library.nft_ctx_get_output_buffer(self._context)
        if failed:
            raise OSError(f"nftables: {_first_lines(errors.decode())}")
        return str(output.decode())


class Program:
    """The `nft` program, once for each call."""

    def run(self, commands: str) -> str:
        done = subprocess.run(
            ["nft", "-f", "-"], input=commands, env={"PATH": SEARCH}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OSError(f"nftables: {_first_lines(done.stderr)}")
        return done.stdout


def has_table(nftables: Nftables, at: str) -> bool:
    """`at` is family and name. Raises OSError."""
    return f"table {at}" in nftables.run("list tables\n").splitlines()


def remembered(nftables: Nftables, at: str) -> dict[str, str]:
    """By set of the table, its elements with the time each has left, as they may be added again. Raises OSError."""
    found, name, elements = {}, "", ""
    for line in nftables.run(f"list sets table {at}\n").splitlines():
        text = line.strip()
        if text.startswith("set "):
            name = text.split()[1]
        elif text.startswith("elements = {"):
            elements = text.removeprefix("elements = {")
        elif elements:
            elements += f" {text}"
        if elements.endswith("}"):
            found[name], elements = elements.removesuffix("}").strip(), ""
    return found


def firewalls(nftables: Nftables) -> list[str]:
    """The chains, as "family table chain", that drop what this machine forwards unless told otherwise (D81).

    Docker's and some firewalls' do, and pods then reach neither one another nor services. Raises OSError.
    """
    found, table, chain = [], "", ""
    for line in nftables.run("list chains\n").splitlines():
        words = line.split()
        match words:
            case ["table", family, name, "{"]:
                table = f"{family} {name}"
            case ["chain", name, "{"]:
                chain = name
            case ["type", "filter", "hook", "forward", *rest] if rest[-2:] == ["policy", "drop;"]:
                found.append(f"{table} {chain}")
    return found


def _first_lines(text: str) -> str:
    """One mistake is reported with every rule that follows from it."""
    return " ".join(text.split("\n", 3)[:3]).strip()
