"""Kubeconfigs as tools write them are read; what is wrong with one is said."""

import base64
import json

import pytest

from holdfast.client.kubeconfig import KubeconfigError, read_kubeconfig

PEM = "-----BEGIN CERTIFICATE-----\nxyz\n-----END CERTIFICATE-----\n"


def write(path, cluster=None, user=None, **changes):
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "prod"}}],
        "current-context": "x",
        **changes,
    }
    file = path / "config"
    file.write_text(json.dumps(document))
    return file


def test_inline_data_is_decoded(tmp_path):
    data = base64.b64encode(PEM.encode()).decode()
    user = {"client-certificate-data": data, "client-key-data": data, "token": "t"}
    found = read_kubeconfig(write(tmp_path, {"certificate-authority-data": data}, user))
    assert (found.server, found.namespace, found.token) == ("https://127.0.0.1:6443", "prod", "t")
    assert found.ca == found.certificate == found.key == PEM
    assert found.verify


def test_files_are_relative_to_the_kubeconfig(tmp_path):
    (tmp_path / "ca.crt").write_text(PEM)
    (tmp_path / "token").write_text("t\n")
    found = read_kubeconfig(write(tmp_path, {"certificate-authority": "ca.crt"}, {"tokenFile": "token"}))
    assert (found.ca, found.token) == (PEM, "t")


def test_verification_can_be_switched_off(tmp_path):
    assert not read_kubeconfig(write(tmp_path, {"insecure-skip-tls-verify": True})).verify


def test_another_context_can_be_named(tmp_path):
    contexts = [{"name": "y", "context": {"cluster": "c"}}]
    found = read_kubeconfig(write(tmp_path, contexts=contexts), "y")
    assert (found.namespace, found.token) == ("default", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current-context": "z"}, "has no context 'z'"),
        ({"clusters": []}, "has no cluster 'c'"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "names no server"),
        ({"users": []}, "has no user 'u'"),
        ({"users": [{"name": "u", "user": {"client-key": "missing.key"}}]}, "cannot read .*missing.key"),
        ({"users": [{"name": "u", "user": {"client-key-data": "%"}}]}, "client-key-data is not base64"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, changes, message):
    with pytest.raises(KubeconfigError, match=message):
        read_kubeconfig(write(tmp_path, **changes))


@pytest.mark.parametrize(("text", "message"), [("[", "is not YAML"), ("- a", "is not a kubeconfig")])
def test_what_is_no_kubeconfig_is_refused(tmp_path, text, message):
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(KubeconfigError, match=message):
        read_kubeconfig(file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(KubeconfigError, match=r"cannot read .*: No such file"):
        read_kubeconfig(tmp_path / "none")
