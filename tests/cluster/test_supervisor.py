"""What a supervisor is told: datagrams as systemd reads them."""

from __future__ import annotations

import socket

import pytest

from holdfast.cluster.supervisor import VARIABLE, Supervisor


@pytest.fixture(params=["path", "abstract"])
def listening(request, tmp_path):
    """A supervisor's socket and what it is called."""
    name = f"@{tmp_path}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(name.replace("@", "\0", 1))
        receiving.settimeout(10)
        yield receiving, name


def test_it_is_told_when_the_cluster_is_ready_and_when_it_ends(listening):
    receiving, name = listening
    supervisor = Supervisor(name)
    supervisor.status("API server answers")
    supervisor.ready("up at\nhttps://here")
    supervisor.stopping("pods are ending")
    assert [receiving.recv(4096).decode() for _ in range(3)] == [
        "STATUS=API server answers",
        "READY=1\nSTATUS=up at https://here",
        "STOPPING=1\nSTATUS=pods are ending",
    ]


def test_what_this_process_starts_does_not_find_its_supervisor(listening):
    receiving, name = listening
    environment = {VARIABLE: name, "OTHER": "stays"}
    Supervisor.of(environment).ready("up")
    assert environment == {"OTHER": "stays"}
    assert receiving.recv(4096).startswith(b"READY=1")


def test_nobody_has_to_listen(tmp_path):
    Supervisor.of({}).ready("up")
    Supervisor(str(tmp_path / "gone")).stopping("down")
