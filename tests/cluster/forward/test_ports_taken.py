"""Ports that cannot be opened here."""

import errno
import os
import socket

import pytest

from holdfast.cluster.forward import forwarder
from holdfast.cluster.listening import CannotListen


async def nobody(reader, writer):
    writer.close()


async def test_a_port_that_is_taken_is_said_with_how_to_choose_another():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as said:
            await forwarder._listen(nobody, "127.0.0.1", port)
    told = f"port {port} on 127.0.0.1 is taken: LOCAL:PORT chooses another one here, :PORT any free one"
    assert str(said.value) == told


@pytest.mark.parametrize("address", ["192.0.2.200", "no.such.host.invalid"])
async def test_an_address_that_is_none_of_this_machines(address):
    with pytest.raises(CannotListen, match=r"cannot be opened, .*: --address has to be one of this machine's"):
        await forwarder._listen(nobody, address, 0)


async def test_ports_that_are_for_root_only(monkeypatch):
    async def refused(*given):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("asyncio.start_server", refused)
    with pytest.raises(CannotListen, match=r"port 80 on 127.0.0.1 is for root only: .* from 1024 on"):
        await forwarder._listen(nobody, "127.0.0.1", 80)
