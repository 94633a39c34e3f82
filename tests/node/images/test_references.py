"""One spelling for each image (N60, N61)."""

import pytest

from holdfast.node.images.references import InvalidReference, normalise, pinned

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("mhausenblas/mehdb:0.6", "docker.io/mhausenblas/mehdb:0.6"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("k8s.gcr.io/nginx-slim:0.8", "k8s.gcr.io/nginx-slim:0.8"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("registry.example:5000/a/b/c", "registry.example:5000/a/b/c:latest"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"nginx:1.25@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        ("host", "host"),
    ],
)
def test_n61_a_name_is_completed(written: str, meant: str) -> None:
    assert normalise(written) == meant
    assert normalise(meant) == meant


@pytest.mark.parametrize("written", ["", "Nginx", "nginx:", "nginx:a b", "nginx@sha256:short", "/nginx", "a//b", "-x"])
def test_what_is_no_name_is_refused_in_the_kubelets_words(written: str) -> None:
    with pytest.raises(InvalidReference, match="couldn't parse image name"):
        normalise(written)


@pytest.mark.parametrize(
    ("reference", "called"),
    [
        ("nginx:1", f"docker.io/library/nginx@{DIGEST}"),
        ("r.example/mine:2", f"r.example/mine@{DIGEST}"),
        ("other:1", f"docker.io/library/nginx@{DIGEST}"),
    ],
)
def test_n61_an_image_id_names_the_digest_in_the_pods_own_repository(reference: str, called: str) -> None:
    digests = [f"docker.io/library/nginx@{DIGEST}", f"r.example/mine@{DIGEST}"]
    assert pinned(reference, digests) == called
    assert pinned(reference, []) == ""
