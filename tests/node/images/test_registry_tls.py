"""Registries by TLS: whose certificates are believed, and what an insecure one may do."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_registry import PASSWORD, USER, FakeRegistry, status
from layers import file, tar

from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.node.images import pulling
from holdfast.node.images.references import parse
from holdfast.node.images.registry.failures import Denied, PullFailed, Unreachable
from holdfast.node.images.registry.registry import Registry
from holdfast.node.images.registry.settings import Entry, RegistrySettings
from holdfast.node.images.store import ImageStore
from holdfast.node.runtime import Credentials

BASE = tar(file("etc/base", "1"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("home"))
    made.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(made, datetime.now(UTC), ["n1"], "10.96.0.1")
    return made


@pytest.fixture
async def registry(home: Home):
    files = certificates.pair(home, "apiserver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    fake = FakeRegistry()
    await fake.start(context)
    fake.add("app:1", BASE)
    yield fake
    await fake.stop()


async def pull(registry: FakeRegistry, store: Path, entry: Entry, credentials: Credentials | None = None) -> str:
    name = parse(f"{registry.host}/app:1")
    async with Registry(name, RegistrySettings({registry.host: entry}), credentials) as asked:
        return await pulling.pull(ImageStore(store), name, asked, lambda progress: None)


async def test_a_certificate_of_the_ca_named_is_believed(registry, home, tmp_path):
    registry.protection = "bearer"
    entry = Entry(ca=str(home.ca_certificate))
    assert await pull(registry, tmp_path, entry, Credentials(USER, PASSWORD))


async def test_a_certificate_of_nobody_s_is_not(registry, tmp_path):
    with pytest.raises(Unreachable, match="x509: certificate signed by unknown authority"):
        await pull(registry, tmp_path, Entry(insecure=False))


async def test_an_insecure_registry_is_believed(registry, tmp_path):
    assert await pull(registry, tmp_path, Entry(insecure=True))


async def test_an_insecure_registry_may_do_without_tls(tmp_path):
    plain = FakeRegistry()
    await plain.start()
    plain.add("app:1", BASE)
    try:
        assert await pull(plain, tmp_path, Entry(insecure=True))
        with pytest.raises(Unreachable, match="http: server gave HTTP response to HTTPS client"):
            await pull(plain, tmp_path, Entry(insecure=False))
    finally:
        await plain.stop()


async def test_an_insecure_registry_that_answers_by_tls_is_not_asked_without(registry, tmp_path):
    registry.protection = "basic"
    with pytest.raises(Denied, match="no basic auth credentials"):
        await pull(registry, tmp_path, Entry(insecure=True))


async def test_what_is_safe_is_not_redirected_to_what_is_not(registry, home, tmp_path):
    registry.fault("/blobs/", status(307, Location="http://127.0.0.1:1/blob"), always=True)
    with pytest.raises(Denied, match="less safe"):
        await pull(registry, tmp_path, Entry(ca=str(home.ca_certificate)))


async def test_credentials_are_not_sent_to_a_token_server_without_tls(registry, home, tmp_path):
    challenge = 'Bearer realm="http://127.0.0.1:1/token",service="x"'
    registry.fault("/manifests/", status(401, WWW_Authenticate=challenge), always=True)
    with pytest.raises(Denied, match="no safe server for tokens"):
        await pull(registry, tmp_path, Entry(ca=str(home.ca_certificate)), Credentials(USER, PASSWORD))


async def test_a_ca_that_is_not_there_is_told(registry, tmp_path):
    with pytest.raises(PullFailed, match=r"/nowhere/ca\.pem: No such file"):
        await pull(registry, tmp_path, Entry(ca="/nowhere/ca.pem"))
