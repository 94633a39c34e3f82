"""A machine that joins gets what it needs, from the cluster that was meant, and says what is in the way."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.api.authentication.reviews import SELF_SUBJECT_REVIEWS
from holdfast.api.certificates.certificate_signing_request import CERTIFICATE_SIGNING_REQUESTS
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.node import NODES
from holdfast.api.core.secret import SECRETS
from holdfast.client import Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.client.remote import RemoteClient
from holdfast.cluster import certificates, cluster_info
from holdfast.cluster.certificates import pair, serving_pair
from holdfast.cluster.connect import as_node
from holdfast.cluster.home import Home
from holdfast.cluster.joining import requests
from holdfast.cluster.joining.credentials import ask_as_client, obtain
from holdfast.cluster.joining.discovery import token_of
from holdfast.cluster.joining.refusal import CannotJoin
from holdfast.world import SystemClock, World

from .conftest import WORLD, running

HASH = "sha256:" + 64 * "0"


@pytest.fixture
def home(tmp_path: Any) -> Home:
    return Home(tmp_path / "newcomer")


async def join(cluster: Any, home: Home, token: str | None = None, ca_hash: str = "", name: str = "far") -> None:
    token = await cluster.token() if token is None else token
    await obtain(cluster.address, token, ca_hash or cluster.ca_hash, name, home, WORLD)


def loaded(path: Any) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def usages(certificate: x509.Certificate) -> list[Any]:
    return [*certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value]


async def refused(cluster: Any, home: Home, **arguments: Any) -> str:
    with pytest.raises(CannotJoin) as error:
        await join(cluster, home, **arguments)
    assert not pair(home, "node-far").certificate.exists()
    text = str(error.value)
    assert "\n" not in text
    return text


async def test_a_machine_gets_the_authority_and_both_pairs(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    assert home.ca_certificate.read_text() == cluster.home.ca_certificate.read_text()
    client, serving = loaded(pair(home, "node-far").certificate), loaded(serving_pair(home, "far").certificate)
    for made in (client, serving):
        assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:far"
        assert made.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"
    assert usages(client) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert usages(serving) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["far"]


async def test_keys_are_made_here_for_their_owner_alone(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    keys = [path for path in home.pki.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in keys} == {"node-far.pem", "node-far-serving.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


async def test_with_them_it_is_the_node(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    client = RemoteClient(as_node(home, f"https://{cluster.address}", "far"))
    try:
        review = await client.create(SELF_SUBJECT_REVIEWS, {"metadata": {}})
    finally:
        await client.close()
    assert review["status"]["userInfo"]["username"] == "system:node:far"
    assert "system:nodes" in review["status"]["userInfo"]["groups"]


async def test_the_serving_certificate_lets_nobody_in(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    files = serving_pair(home, "far")
    own, key = files.texts()
    authority = home.ca_certificate.read_text()
    client = RemoteClient(Connection(f"https://{cluster.address}", ca=authority, certificate=own, key=key))
    try:
        with pytest.raises(Unreachable):
            await client.get(NODES, "far")
    finally:
        await client.close()


async def test_run_again_it_asks_for_nothing_and_needs_neither_token_nor_cluster(home: Home, tmp_path: Any) -> None:
    async with running(tmp_path / "cluster") as cluster:
        await join(cluster, home)
        made = len((await cluster.client.list(CERTIFICATE_SIGNING_REQUESTS)).items)
        before = {path.name: path.read_bytes() for path in home.pki.iterdir()}
    await obtain(cluster.address, "", "", "far", home, WORLD)
    assert {path.name: path.read_bytes() for path in home.pki.iterdir()} == before
    assert made == 2


async def test_cut_off_while_it_waits_it_finds_its_request_again(
    cluster: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "WAIT_S", 0.0)  # gives up before anybody can have signed
    assert "within 0 s: kubectl describe csr node-csr-far-" in await refused(cluster, home)
    monkeypatch.undo()
    await join(cluster, home)
    made = (await cluster.client.list(CERTIFICATE_SIGNING_REQUESTS)).items
    assert sorted(each["spec"]["signerName"] for each in made) == [
        "kubernetes.io/kube-apiserver-client-kubelet",
        "kubernetes.io/kubelet-serving",
    ]


async def test_what_is_about_to_end_is_renewed_without_a_token(
    cluster: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    await join(cluster, home)
    before = loaded(pair(home, "node-far").certificate)
    monkeypatch.setattr("holdfast.cluster.lifetimes.LAST_THIRD", 0.0)  # all of its life is left for renewal
    await obtain(cluster.address, "", "", "far", home, WORLD)
    after = loaded(pair(home, "node-far").certificate)
    assert after.serial_number != before.serial_number
    assert after.public_key() != before.public_key()
    items = (await cluster.client.list(CERTIFICATE_SIGNING_REQUESTS)).items
    assert [each["spec"]["username"] for each in items].count("system:node:far") == 3


async def test_with_its_certificate_a_machine_learns_that_the_authority_was_renewed(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    url, before = f"https://{cluster.address}", home.ca_certificate.read_text()
    await ask_as_client(home, url, "far", WORLD)
    assert home.ca_certificate.read_text() == before
    assert "ca" in certificates.renew(cluster.home, WORLD.clock.now() + certificates.LIFETIME)
    after = cluster.home.ca_certificate.read_text()
    await cluster_info.ensure(cluster.client, url, after)
    await ask_as_client(home, url, "far", WORLD)
    assert home.ca_certificate.read_text() == after != before


async def test_an_authority_with_another_key_is_not_taken_for_a_renewed_one(
    cluster: Any, home: Home, tmp_path: Any
) -> None:
    await join(cluster, home)
    other = Home(tmp_path / "other")
    other.make()
    certificates.ensure(other, WORLD.clock.now(), [], [])
    await cluster_info.ensure(cluster.client, f"https://{cluster.address}", other.ca_certificate.read_text())
    await ask_as_client(home, f"https://{cluster.address}", "far", WORLD)
    assert home.ca_certificate.read_text() == cluster.home.ca_certificate.read_text()


async def test_a_machine_whose_certificates_have_ended_joins_again_with_a_token(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    first = loaded(pair(home, "node-far").certificate)
    later = World(Later(first.not_valid_after_utc), WORLD.random)
    with pytest.raises(CannotJoin):
        await obtain(cluster.address, "", "", "far", home, later)
    assert loaded(pair(home, "node-far").certificate) == first
    await obtain(cluster.address, await cluster.token(), "", "far", home, later)
    assert loaded(pair(home, "node-far").certificate) != first


class Later(SystemClock):
    """It is some other moment, for who looks at certificates."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


async def test_pairs_of_two_files_as_earlier_versions_left_them_become_one(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    certificate, key = pair(home, "node-far").texts()
    (home.pki / "node-far.pem").unlink()
    (home.pki / "node-far.crt").write_text(certificate)
    (home.pki / "node-far.key").write_text(key)
    await obtain(cluster.address, "", "", "far", home, WORLD)
    assert pair(home, "node-far").texts() == (certificate, key), "it is good, and stays"
    await ask_as_client(home, f"https://{cluster.address}", "far", WORLD)
    assert {path.name for path in home.pki.iterdir()} == {"node-far.pem", "node-far-serving.pem"}
    assert pair(home, "node-far").texts()[1] != key


async def test_cut_off_after_the_certificate_was_written_the_next_one_has_another_key(cluster: Any, home: Home) -> None:
    await join(cluster, home)
    _, key = pair(home, "node-far").texts()
    (home.pki / "node-far.next.key").write_text(key)
    await ask_as_client(home, f"https://{cluster.address}", "far", WORLD)
    assert pair(home, "node-far").texts()[1] != key
    assert not (home.pki / "node-far.next.key").exists()


@pytest.mark.parametrize("token", ["", "abcdef", "a.b", "ABCDEF.0123456789abcdef"])
async def test_what_is_no_token_is_told_before_anything_is_sent(cluster: Any, home: Home, token: str) -> None:
    said = await refused(cluster, home, token=token)
    assert said == (
        "that is no token (one looks like abcdef.0123456789abcdef): make another there: holdfast node token"
    )


async def test_an_unknown_token(cluster: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.joining.discovery.SIGNED_WITHIN_S", 0.0)
    said = await refused(cluster, home, token="abcdef.0123456789abcdef")
    assert said.startswith("the cluster has no token abcdef: it is over, or of another cluster; make another there:")


async def test_a_token_that_is_over(cluster: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.cluster.joining.discovery.SIGNED_WITHIN_S", 0.0)
    monkeypatch.setattr("holdfast.cluster.joining.tokens.SIGNED_WITHIN_S", 0.0)
    token = await cluster.token(timedelta(hours=-1))
    assert (await refused(cluster, home, token=token)).startswith("the cluster has no token ")


async def test_a_token_taken_back_between_the_two_steps(cluster: Any, home: Home) -> None:
    token = token_of(await cluster.token())
    home.make()
    home.ca_certificate.write_bytes(cluster.home.ca_certificate.read_bytes())
    await cluster.client.delete(SECRETS, f"bootstrap-token-{token.id}", "kube-system")
    said = await refused(cluster, home, token=str(token))
    assert said.startswith("the cluster does not take the token: it is over, or was deleted; make another there")


async def test_a_token_that_is_wrong_after_the_dot(cluster: Any, home: Home) -> None:
    token = await cluster.token()
    said = await refused(cluster, home, token=f"{token[:7]}0000000000000000")
    assert said.startswith("the token is wrong after the dot, or somebody at https://127.0.0.1:")
    assert not home.ca_certificate.exists()


async def test_another_hash(cluster: Any, home: Home) -> None:
    said = await refused(cluster, home, ca_hash=HASH)
    assert "another hash than --ca-hash" in said
    assert not home.ca_certificate.exists()


async def test_what_is_no_hash(cluster: Any, home: Home) -> None:
    assert "is no hash of an authority" in await refused(cluster, home, ca_hash="sha256:short")


async def test_somebody_who_knows_the_token_and_not_the_key(cluster: Any, home: Home, tmp_path: Any) -> None:
    """Another cluster with the same token: its word is signed, its authority is another."""
    async with running(tmp_path / "other") as other:
        token = token_of(await cluster.token())
        stolen = await cluster.client.get(SECRETS, f"bootstrap-token-{token.id}", "kube-system")
        kept = {"metadata": {key: stolen["metadata"][key] for key in ("name", "namespace")}}
        await other.client.create(SECRETS, {**stolen, **kept})
        said = await refused(other, home, token=str(token), ca_hash=cluster.ca_hash)
    assert "another hash than --ca-hash" in said
    assert (await other.client.list(CERTIFICATE_SIGNING_REQUESTS)).items == []


async def test_nobody_answers(home: Home, free_port: int) -> None:
    with pytest.raises(
        CannotJoin, match=rf"no answer from https://127\.0\.0\.1:{free_port} .*: is it up there with --listen"
    ):
        await obtain(f"127.0.0.1:{free_port}", "abcdef.0123456789abcdef", HASH, "far", home, WORLD)


async def test_an_address_that_the_certificate_does_not_name(cluster: Any, home: Home) -> None:
    port = cluster.address.rpartition(":")[2]
    with pytest.raises(
        CannotJoin, match=r"cannot prove that it is the cluster .*: start it with --listen and the address"
    ):
        await obtain(f"127.0.0.2:{port}", await cluster.token(), cluster.ca_hash, "far", home, WORLD)
    assert not home.ca_certificate.exists()


async def test_what_is_no_address(home: Home) -> None:
    for text in ("http://127.0.0.1:1", "https://a/b/c", "a b"):
        with pytest.raises(CannotJoin, match=r"is no address of a cluster: it looks like 192\.0\.2\.10:6443"):
            await obtain(text, "abcdef.0123456789abcdef", HASH, "far", home, WORLD)


@pytest.mark.parametrize("name", ["", "Far", "../far", "far_1"])
async def test_what_is_no_name_of_a_node(cluster: Any, home: Home, name: str) -> None:
    with pytest.raises(CannotJoin, match="cannot be a node's name: a lowercase RFC 1123 subdomain must consist of"):
        await join(cluster, home, name=name)
    assert not home.path.exists()


async def test_a_cluster_that_tells_newcomers_nothing(cluster: Any, home: Home) -> None:
    await cluster.client.delete(CONFIG_MAPS, "cluster-info", "kube-public")
    said = await refused(cluster, home, token="abcdef.0123456789abcdef")
    assert "is no cluster that machines can join" in said


@pytest.mark.parametrize(("status", "is_taken"), [("True", True), ("Unknown", False)])
async def test_a_name_that_another_node_has(cluster: Any, home: Home, status: str, is_taken: bool) -> None:
    node = {"metadata": {"name": "far"}, "status": {"conditions": [{"type": "Ready", "status": status}]}}
    made = await cluster.client.create(NODES, node)
    await cluster.client.update(NODES, {**made, "status": node["status"]}, subresource="status")
    if is_taken:
        said = await refused(cluster, home)
        assert said.startswith("the cluster has a node far that is Ready: give this machine another name")
    else:
        await join(cluster, home)


async def test_a_directory_of_another_cluster_or_with_one_of_its_own(cluster: Any, home: Home, tmp_path: Any) -> None:
    async with running(tmp_path / "other") as other:
        await join(other, home)
        with pytest.raises(CannotJoin, match="belongs to a node of another cluster: use another --home"):
            await join(cluster, home)
    with pytest.raises(CannotJoin, match="holds a cluster of its own: use another --home, or holdfast down --purge"):
        await join(cluster, cluster.home)


async def test_a_request_that_was_denied(cluster: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serving certificates for names of others wait for a person, who may say no."""

    def for_others(url: str) -> tuple[str, ...]:
        monkeypatch.setattr(requests, "WAIT_S", 0.5)  # from here on: the machine's own is signed by now
        return ("127.0.0.1",)

    monkeypatch.setattr("holdfast.cluster.joining.credentials._own_address", for_others)
    with pytest.raises(CannotJoin, match="nobody has approved node-csr-far-"):
        await join(cluster, home)
    (pending,) = [
        each
        for each in (await cluster.client.list(CERTIFICATE_SIGNING_REQUESTS)).items
        if not each["status"].get("conditions")
    ]
    denied = {"type": "Denied", "status": "True", "reason": "No", "message": "not here"}
    await cluster.client.update(
        CERTIFICATE_SIGNING_REQUESTS, {**pending, "status": {"conditions": [denied]}}, subresource="approval"
    )
    with pytest.raises(CannotJoin, match=r"was denied \(not here\): kubectl delete csr node-csr-far-"):
        await join(cluster, home)


def test_a_node_of_the_clusters_own_machine_shows_one_pair_to_both_sides(tmp_path: Any) -> None:
    home = Home(tmp_path / "home")
    home.make()
    certificates.ensure(home, WORLD.clock.now(), ["n1"], [])
    assert serving_pair(home, "n1") == pair(home, "node-n1")
