"""Pulls from a registry that has good days and bad ones (R115, R116, N61, N62, N70)."""

import asyncio
import errno
import gzip
import json
import random
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_registry import (
    OCI_INDEX,
    PASSWORD,
    USER,
    FakeRegistry,
    corrupt,
    cut_after,
    shortened,
    squeezed,
    stalled_after,
    status,
)
from layers import digest, file, tar

from holdfast.node.images import pulling
from holdfast.node.images.platforms import machine_platform
from holdfast.node.images.references import parse
from holdfast.node.images.registry import blobs, persistence
from holdfast.node.images.registry import registry as asked_of
from holdfast.node.images.registry.authorization import read_challenges
from holdfast.node.images.registry.failures import Denied, NotFound, PullFailed, Unreachable, WrongContent
from holdfast.node.images.registry.registry import Registry
from holdfast.node.images.registry.settings import Entry, RegistrySettings
from holdfast.node.images.store import ImageStore
from holdfast.node.runtime import Credentials, PullProgress

ALICE = Credentials(USER, PASSWORD)
BASE, MIDDLE, TOP = (tar(file(f"etc/{name}", name)) for name in ("base", "middle", "top"))
BIG = tar(file("big", random.Random(7).randbytes(3 << 20)))
ARCHITECTURE = machine_platform()[0]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "FIRST_PAUSE_S", 0.001)
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
async def registry():
    fake = FakeRegistry()
    await fake.start()
    yield fake
    await fake.stop()


async def pull(
    store: ImageStore,
    reference: str,
    credentials: Credentials | None = None,
    settings: RegistrySettings | None = None,
    told: list[PullProgress] | None = None,
):
    name = parse(reference)
    async with Registry(name, settings or RegistrySettings(), credentials) as asked:
        identifier = await pulling.pull(store, name, asked, (told if told is not None else []).append)
    record = store.find(reference)
    assert record is not None
    assert record.id == identifier
    return record


def contents(store: ImageStore, identifier: str) -> list[str]:
    """The names of all files of the layers, topmost layer first."""
    return [path.name for layer in store.layer_paths(identifier) for path in Path(layer).rglob("*") if path.is_file()]


def left_over(store: ImageStore) -> list[str]:
    """What is neither a whole layer nor a part worth keeping."""
    layers = store.downloads.parent / "layers"
    return [path.name for path in layers.iterdir() if path.name.startswith(".")]


async def test_an_image_comes_with_its_name_digest_and_layers(store, registry):
    manifest = registry.add("app:1", BASE, TOP, Cmd=["run"], User="web")
    record = await pull(store, f"{registry.host}/app:1")
    assert record.references == (f"{registry.host}/app:1",)
    assert record.digests == (f"{registry.host}/app@{manifest}",)
    assert (record.cmd, record.user, record.size_bytes, record.is_local) == (("run",), "web", 7, False)
    assert contents(store, record.id) == ["top", "base"]
    assert left_over(store) == list(store.downloads.iterdir()) == []


async def test_a_reference_by_digest_gets_exactly_that(store, registry):
    manifest = registry.add("app:1", BASE)
    registry.add("app:1", TOP)
    record = await pull(store, f"{registry.host}/app:1@{manifest}")
    assert contents(store, record.id) == ["base"]
    assert record.references == ()


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress, lambda data: zstd(data)])
async def test_layers_may_be_plain_gzip_or_zstd(store, registry, compress):
    registry.add("app:1", BIG, BASE, compress=compress)
    assert contents(store, (await pull(store, f"{registry.host}/app:1")).id) == ["base", "big"]


def zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


async def test_layers_that_are_here_are_not_fetched_again(store, registry):
    registry.add("one:1", BASE, MIDDLE)
    await pull(store, f"{registry.host}/one:1")
    registry.requests.clear()
    registry.add("two:1", BASE, TOP)
    record = await pull(store, f"{registry.host}/two:1")
    assert contents(store, record.id) == ["top", "base"]
    assert [digest(squeezed(TOP)) in request.target for request in registry.asked("/blobs/")].count(True) == 1
    assert registry.asked(digest(squeezed(BASE))) == []


async def test_an_image_that_has_not_changed_costs_one_question(store, registry):
    registry.add("app:1", BASE)
    first = await pull(store, f"{registry.host}/app:1")
    registry.requests.clear()
    assert await pull(store, f"{registry.host}/app:1") == first
    assert [(request.method, request.target) for request in registry.requests] == [("HEAD", "/v2/app/manifests/1")]


async def test_a_tag_that_moved_brings_the_new_image_and_leaves_the_old_one_by_its_digest(store, registry):
    registry.add("app:1", BASE)
    old = await pull(store, f"{registry.host}/app:1")
    registry.add("app:1", TOP)
    new = await pull(store, f"{registry.host}/app:1")
    assert contents(store, new.id) == ["top"]
    assert store.find(old.digests[0]).id == old.id
    store.remove(old.id)
    assert store.find(old.digests[0]) is None


async def test_of_an_index_the_platform_of_this_machine_is_taken(store, registry):
    foreign, mine = registry.add("app:", TOP), registry.add("app:", BASE)
    entries = [
        {**entry_of(registry, "app", foreign), "platform": {"os": "linux", "architecture": "sparc"}},
        {**entry_of(registry, "app", mine), "platform": {"os": "linux", "architecture": ARCHITECTURE}},
    ]
    index = registry.put("app", "1", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    record = await pull(store, f"{registry.host}/app:1")
    assert contents(store, record.id) == ["base"]
    assert record.digests == (f"{registry.host}/app@{index}",)


def entry_of(registry: FakeRegistry, repository: str, manifest: str) -> dict:
    media_type, data = registry.manifests[repository, manifest]
    return {"mediaType": media_type, "digest": manifest, "size": len(data)}


async def test_an_index_without_this_platform_is_not_found(store, registry):
    entry = entry_of(registry, "app", registry.add("app:", TOP))
    index = registry.put("app", "1", {"manifests": [{**entry, "platform": {"os": "linux", "architecture": "sparc"}}]})
    with pytest.raises(NotFound, match=f"no match for platform in manifest {index}: not found"):
        await pull(store, f"{registry.host}/app:1")


async def test_n70_an_old_manifest_is_named_by_its_media_type(store, registry):
    registry.put("app", "1", {"schemaVersion": 1, "signatures": []}, "application/vnd.docker.v1+prettyjws")
    with pytest.raises(
        PullFailed, match=r'media type "application/vnd\.docker\.distribution\.manifest\.v1\+prettyjws"'
    ):
        await pull(store, f"{registry.host}/app:1")


async def test_what_is_no_image_is_refused(store, registry):
    registry.put("app", "1", {"schemaVersion": 2, "config": registry.blob(b"{}"), "layers": []})
    with pytest.raises(PullFailed, match=r"rootfs\.diff_ids"):
        await pull(store, f"{registry.host}/app:1")


@pytest.mark.parametrize("evil", ["sha256:../../../etc", "../../x", "sha256:" + "A" * 64, 7])
async def test_digests_do_not_become_paths_elsewhere(store, registry, evil):
    document = json.dumps({"rootfs": {"diff_ids": [evil]}}).encode()
    registry.put("app", "1", {"config": registry.blob(document), "layers": [registry.blob(squeezed(BASE))]})
    with pytest.raises(PullFailed, match="invalid checksum digest format"):
        await pull(store, f"{registry.host}/app:1")


async def test_a_missing_image_is_told_in_containerd_s_words(store, registry):
    name = f"{registry.host}/app:9"
    with pytest.raises(NotFound) as caught:
        await pull(store, name)
    expected = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": {name}: not found'
    assert str(caught.value) == expected


async def test_a_registry_that_tells_no_digest_is_asked_for_the_manifest(store, registry):
    registry.tells_digests = False
    manifest = registry.add("app:1", BASE)
    assert (await pull(store, f"{registry.host}/app:1")).digests == (f"{registry.host}/app@{manifest}",)


async def test_a_registry_that_nobody_answers_at_is_unreachable(store, registry):
    await registry.stop()
    with pytest.raises(Unreachable, match=rf"dial tcp 127\.0\.0\.1:{registry.port}: connect: connection refused"):
        await pull(store, f"{registry.host}/app:1")


# -- who asks


@pytest.mark.parametrize("protection", ["basic", "bearer"])
async def test_credentials_open_what_is_protected(store, registry, protection):
    registry.protection = protection
    registry.add("app:1", BASE, TOP)
    assert contents(store, (await pull(store, f"{registry.host}/app:1", ALICE)).id) == ["top", "base"]


async def test_without_credentials_a_bearer_registry_gives_an_anonymous_token(store, registry):
    registry.protection = "bearer"
    registry.add("app:1", BASE)
    await pull(store, f"{registry.host}/app:1")
    assert [request.headers.get("authorization") for request in registry.asked("/token")] == [None]


async def test_a_token_that_has_become_too_old_is_replaced(store, registry):
    registry.protection = "bearer"
    registry.add("app:1", BASE)

    def expired(answer):
        registry.tokens_given += 1
        challenge = f'Bearer realm="http://{registry.host}/token",service="fake registry"'
        return status(401, WWW_Authenticate=challenge)(answer)

    registry.fault("/blobs/", expired)
    await pull(store, f"{registry.host}/app:1", ALICE)
    assert len(registry.asked("/token")) == 2


@pytest.mark.parametrize(
    ("protection", "credentials", "words"),
    [
        ("basic", None, "pull access denied, repository does not exist or may require authorization: "
         "authorization failed: no basic auth credentials"),
        ("basic", Credentials(USER, "wrong"), "unexpected status from HEAD request to .*: 401 Unauthorized"),
        ("bearer", Credentials(USER, "wrong"), "failed to authorize: failed to fetch oauth token: unexpected status "
         "from GET request to .*/token.*: 401 Unauthorized"),
    ],
)  # fmt: skip
async def test_who_is_not_let_in_learns_why_and_no_secret_is_told(store, registry, protection, credentials, words):
    registry.protection = protection
    registry.add("app:1", BASE)
    with pytest.raises(Denied, match=words) as caught:
        await pull(store, f"{registry.host}/app:1", credentials)
    assert "wrong" not in str(caught.value)


async def test_a_token_without_the_right_scope_is_no_access(store, registry):
    registry.protection = "bearer"
    registry.add("app:1", BASE)
    challenge = f'Bearer realm="http://{registry.host}/token",service="fake registry",error="insufficient_scope"'
    registry.fault("/manifests/", lambda answer: answer, status(401, WWW_Authenticate=challenge))
    with pytest.raises(
        Denied, match=r"pull access denied, .*: server message: insufficient_scope: authorization failed"
    ):
        await pull(store, f"{registry.host}/app:1")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic", [("basic", {})]),
        ('Basic realm="a b"', [("basic", {"realm": "a b"})]),
        (
            'Bearer realm="https://a.example/t?x=1",service="r",scope="repository:a/b:pull,push"',
            [("bearer", {"realm": "https://a.example/t?x=1", "service": "r", "scope": "repository:a/b:pull,push"})],
        ),
        ('Negotiate, Basic realm="a", Bearer realm=b', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        (r'basic REALM="say \"hi\""', [("basic", {"realm": 'say "hi"'})]),
        ("", []),
    ],
)
def test_challenges_are_read(header: str, expected: list) -> None:
    assert [(challenge.scheme, challenge.parameters) for challenge in read_challenges(header)] == expected


async def test_credentials_do_not_follow_a_redirect_to_another_host(store, registry):
    other = FakeRegistry()
    await other.start()
    registry.protection = "basic"
    registry.add("app:1", BASE)
    other.blobs = registry.blobs
    where = f"http://{other.host}/v2/app/blobs/{digest(squeezed(BASE))}"
    registry.fault(digest(squeezed(BASE)), status(307, Location=where))
    try:
        assert contents(store, (await pull(store, f"{registry.host}/app:1", ALICE)).id) == ["base"]
    finally:
        await other.stop()
    assert [request.headers.get("authorization") for request in other.requests] == [None]


async def test_a_redirect_that_challenges_learns_nothing(store, registry):
    other = FakeRegistry()
    await other.start()
    other.protection = "basic"
    registry.protection = "basic"
    registry.add("app:1", BASE)
    registry.fault("/blobs/", status(307, Location=f"http://{other.host}/v2/app/blobs/x"), always=True)
    try:
        with pytest.raises(Denied):
            await pull(store, f"{registry.host}/app:1", ALICE)
    finally:
        await other.stop()
    assert {request.headers.get("authorization") for request in other.requests} == {None}


async def test_redirects_end(store, registry):
    registry.add("app:1", BASE)
    registry.fault("/blobs/", status(302, Location="/v2/app/blobs/again"), always=True)
    with pytest.raises(PullFailed, match="stopped after 8 redirects"):
        await pull(store, f"{registry.host}/app:1")


# -- bad days


@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_a_registry_in_trouble_is_asked_again(store, registry, code):
    registry.add("app:1", BASE)
    for part in ("/manifests/", "/blobs/"):
        registry.fault(part, *3 * [status(code, Retry_After="0")])
    assert contents(store, (await pull(store, f"{registry.host}/app:1")).id) == ["base"]


async def test_a_registry_in_lasting_trouble_is_given_up(store, registry):
    registry.add("app:1", BASE)
    registry.fault("/manifests/", status(503), always=True)
    with pytest.raises(PullFailed, match="503 Service Unavailable"):
        await pull(store, f"{registry.host}/app:1")
    assert len(registry.requests) == persistence.ATTEMPTS


async def test_a_download_that_was_cut_goes_on_where_it_stopped(store, registry):
    registry.add("app:1", BIG)
    size = len(squeezed(BIG))
    registry.fault(digest(squeezed(BIG)), cut_after(1 << 20), cut_after(1 << 20), cut_after(100))
    told: list[PullProgress] = []
    assert contents(store, (await pull(store, f"{registry.host}/app:1", told=told)).id) == ["big"]
    ranges = [request.headers.get("range") for request in registry.asked(digest(squeezed(BIG)))]
    assert ranges[0] is None
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges[1:]]
    assert starts == sorted(set(starts))
    assert 0 < starts[0] < starts[-1] < size


async def test_a_download_that_stays_silent_goes_on_too(store, registry, monkeypatch):
    monkeypatch.setattr(blobs, "STALLED_AFTER_S", 0.2)
    registry.add("app:1", BIG)
    registry.fault(digest(squeezed(BIG)), stalled_after(1 << 20))
    assert contents(store, (await pull(store, f"{registry.host}/app:1")).id) == ["big"]


async def test_a_registry_that_ignores_ranges_is_read_from_the_start(store, registry):
    registry.ranges = False
    registry.add("app:1", BIG)
    registry.fault(digest(squeezed(BIG)), cut_after(1 << 20))
    assert contents(store, (await pull(store, f"{registry.host}/app:1")).id) == ["big"]


async def test_another_range_than_asked_for_is_refused(store, registry):
    registry.add("app:1", BIG)
    registry.fault(digest(squeezed(BIG)), cut_after(1 << 20), status(206, Content_Range="bytes 5-9/10"))
    with pytest.raises(PullFailed, match="another part"):
        await pull(store, f"{registry.host}/app:1")


async def test_what_has_arrived_is_kept_for_the_next_pull(store, registry):
    registry.add("app:1", BIG)
    registry.fault(digest(squeezed(BIG)), cut_after(1 << 20), *[cut_after(0)] * persistence.ATTEMPTS)
    with pytest.raises(PullFailed, match=r"failed to copy: \d+ of \d+ bytes: .*unexpected EOF"):
        await pull(store, f"{registry.host}/app:1")
    (part,) = store.downloads.iterdir()
    begun = part.stat().st_size
    assert begun > 0
    registry.faults.clear()
    registry.requests.clear()
    await pull(store, f"{registry.host}/app:1")
    assert [r.headers.get("range") for r in registry.asked(digest(squeezed(BIG)))] == [f"bytes={begun}-"]


async def test_a_corrupt_layer_is_refused_and_the_good_ones_stay(store, registry):
    registry.add("app:1", BASE, BIG, TOP)
    bad = digest(squeezed(BIG))
    registry.fault(bad, corrupt, always=True)
    with pytest.raises(WrongContent, match=f"unexpected commit digest sha256:[0-9a-f]+, expected {bad}"):
        await pull(store, f"{registry.host}/app:1")
    assert store.find(f"{registry.host}/app:1") is None
    assert [store.layers.size(digest(layer)) for layer in (BASE, BIG, TOP)] == [4, None, 3]
    assert left_over(store) == list(store.downloads.iterdir()) == []
    registry.faults.clear()
    registry.requests.clear()
    assert contents(store, (await pull(store, f"{registry.host}/app:1")).id) == ["top", "big", "base"]
    assert {request.target.rpartition("/")[2] for request in registry.asked("/blobs/")} >= {bad}
    assert registry.asked(digest(squeezed(BASE))) == registry.asked(digest(squeezed(TOP))) == []


async def test_a_part_that_a_crash_has_spoilt_is_fetched_anew(store, registry):
    registry.add("app:1", BIG)
    store.make()
    part = store.downloads / digest(squeezed(BIG)).removeprefix("sha256:")
    part.write_bytes(b"\0" * 5000)
    assert contents(store, (await pull(store, f"{registry.host}/app:1")).id) == ["big"]


async def test_a_layer_that_the_registry_has_lost_the_end_of_is_refused_by_its_size(store, registry):
    registry.add("app:1", BIG)
    registry.fault(digest(squeezed(BIG)), shortened, status(416), always=False)
    for _ in range(2):
        with pytest.raises(WrongContent, match=r"failed size validation: \d+ != \d+"):
            await pull(store, f"{registry.host}/app:1")
    assert contents(store, (await pull(store, f"{registry.host}/app:1")).id) == ["big"]


async def test_more_bytes_than_told_are_refused(store, registry):
    registry.add("app:1", BASE)
    registry.fault(digest(squeezed(BASE)), lambda answer: status(200, answer.body + b"x")(answer), always=True)
    with pytest.raises(WrongContent, match="more than"):
        await pull(store, f"{registry.host}/app:1")


@pytest.mark.parametrize("part", ["/manifests/sha256", "/blobs/"])
async def test_a_corrupt_manifest_or_configuration_is_refused(store, registry, part):
    registry.add("app:1")
    registry.fault(part, corrupt, always=True)
    with pytest.raises(WrongContent, match="unexpected commit digest"):
        await pull(store, f"{registry.host}/app:1")


async def test_a_registry_that_answers_with_another_digest_is_not_believed(store, registry):
    manifest = registry.add("app:1", BASE)
    registry.manifests["app", manifest] = registry.manifests["app", registry.add("app:2", TOP)]
    with pytest.raises(WrongContent, match="the registry answers with"):
        await pull(store, f"{registry.host}/app@{manifest}")


async def test_a_layer_that_is_not_what_the_configuration_says_is_refused(store, registry):
    document = {"rootfs": {"diff_ids": [digest(TOP)]}}
    manifest = {"config": registry.blob(json.dumps(document).encode()), "layers": [registry.blob(squeezed(BASE))]}
    registry.put("app", "1", manifest)
    with pytest.raises(WrongContent, match=f"failed to extract layer {digest(TOP)}: the digest of its contents is"):
        await pull(store, f"{registry.host}/app:1")
    assert left_over(store) == list(store.downloads.iterdir()) == []


@pytest.mark.parametrize("broken", [squeezed(BIG)[:-2000], b"\x1f\x8b junk", b"\x28\xb5\x2f\xfd junk", b"no tar"])
async def test_a_layer_that_cannot_be_unpacked_leaves_nothing(store, registry, broken):
    document = {"rootfs": {"diff_ids": [digest(BIG)]}}
    registry.put(
        "app", "1", {"config": registry.blob(json.dumps(document).encode()), "layers": [registry.blob(broken)]}
    )
    with pytest.raises(WrongContent, match="failed to extract layer"):
        await pull(store, f"{registry.host}/app:1")
    assert left_over(store) == list(store.downloads.iterdir()) == []


async def test_a_layer_that_would_write_elsewhere_is_refused(store, registry, tmp_path):
    registry.add("app:1", BASE, tar(file("../../escaped", "evil")))
    with pytest.raises(WrongContent, match="outside the layer"):
        await pull(store, f"{registry.host}/app:1")
    assert not list(tmp_path.rglob("escaped"))
    assert store.layers.size(digest(BASE)) == 4


@pytest.mark.parametrize("at", ["download", "unpacking"])
async def test_a_full_disk_is_told_and_given_its_room_back(store, registry, monkeypatch, at):
    registry.add("app:1", BASE)

    async def half(session, blob, path, arrived):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    if at == "download":
        monkeypatch.setattr(asked_of, "download", half)
    else:
        monkeypatch.setattr(store.layers, "add", full)
    with pytest.raises(PullFailed, match=f"failed to extract layer {digest(BASE)}: No space left on device"):
        await pull(store, f"{registry.host}/app:1")
    assert left_over(store) == list(store.downloads.iterdir()) == []


# -- several at once


async def test_pulls_of_the_same_layers_wait_for_one_another(store, registry):
    registry.add("one:1", BIG, BASE)
    registry.add("two:1", BIG, TOP)
    await asyncio.gather(*(pull(store, f"{registry.host}/{name}:1") for name in ("one", "two", "one")))
    assert len(registry.asked(digest(squeezed(BIG)))) == 1


async def test_what_a_pull_needs_is_not_collected_meanwhile(store, registry):
    registry.add("app:1", BASE, BIG)
    registry.add("other:1", TOP)
    await pull(store, f"{registry.host}/other:1")
    registry.fault(digest(squeezed(BIG)), stalled_after(1000), always=True)
    pulling_it = asyncio.ensure_future(pull(store, f"{registry.host}/app:1"))
    async with asyncio.timeout(60):
        while store.layers.size(digest(BASE)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    store.remove(f"{registry.host}/other:1")
    assert store.layers.size(digest(BASE)) == 4
    pulling_it.cancel()
    await asyncio.wait({pulling_it})
    store.sweep(datetime.now(UTC))
    assert store.layers.size(digest(BASE)) is None


async def test_a_pull_that_is_called_off_leaves_no_half_layer(store, registry, monkeypatch):
    registry.add("app:1", BIG)
    add, begun = store.layers.add, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(diff_id, stream, calling_off):
        loop.call_soon_threadsafe(begun.set)
        calling_off.wait(60)
        return add(diff_id, stream, calling_off)

    monkeypatch.setattr(store.layers, "add", slow)
    task = asyncio.ensure_future(pull(store, f"{registry.host}/app:1"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_over(store) == []
    assert len(list(store.downloads.iterdir())) == 1  # whole, to be unpacked next time


async def test_how_far_it_is_is_told(store, registry, monkeypatch):
    monkeypatch.setattr(pulling, "TELL_EVERY_S", 0.01)
    registry.add("app:1", BASE, BIG)
    registry.fault(digest(squeezed(BIG)), cut_after(1 << 20), status(503), status(503), status(503))
    monkeypatch.setattr(persistence, "FIRST_PAUSE_S", 0.02)
    told: list[PullProgress] = []
    await pull(store, f"{registry.host}/app:1", told=told)
    total = len(squeezed(BIG)) + len(squeezed(BASE))
    assert {(progress.total_bytes, progress.layers) for progress in told} == {(total, 2)}
    received = [progress.received_bytes for progress in told]
    assert received == sorted(received)
    assert any(0 < count < total for count in received)
    assert told[-1].layers_ready >= 1


# -- where


async def test_a_mirror_is_asked_first_and_the_registry_when_it_has_not(store, registry):
    mirror = FakeRegistry()
    await mirror.start()
    settings = RegistrySettings({registry.host: Entry(mirrors=(f"http://{mirror.host}/hub",))})
    mirror.add("hub/app:1", BASE)
    registry.add("other:1", TOP)
    try:
        await pull(store, f"{registry.host}/app:1", ALICE, settings=settings)
        assert registry.requests == []
        assert {request.headers.get("authorization") for request in mirror.requests} == {None}
        await pull(store, f"{registry.host}/other:1", settings=settings)
        with pytest.raises(NotFound, match=rf"{registry.host}/none:1: not found \(its mirrors: http://{mirror.host}: "):
            await pull(store, f"{registry.host}/none:1", settings=settings)
    finally:
        await mirror.stop()


async def test_a_layer_that_a_mirror_has_damaged_comes_from_the_registry(store, registry):
    mirror = FakeRegistry()
    await mirror.start()
    for one in (mirror, registry):
        one.add("app:1", BIG)
    mirror.fault(digest(squeezed(BIG)), corrupt, always=True)
    settings = RegistrySettings({registry.host: Entry(mirrors=(f"http://{mirror.host}",))})
    try:
        assert contents(store, (await pull(store, f"{registry.host}/app:1", settings=settings)).id) == ["big"]
    finally:
        await mirror.stop()
