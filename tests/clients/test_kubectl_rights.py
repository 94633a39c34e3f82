"""What kubectl says of users and their rights, and what it does about them."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = pytest.mark.kubectl

RBAC = "rbac.authorization.k8s.io"


def rules(namespace, *, verbs, role="reader", users=("jane",)):
    """A role and its binding, as a list."""
    metadata = {"name": "reader", "namespace": namespace}
    subjects = [{"kind": "User", "name": user, "apiGroup": RBAC} for user in users]
    reference = {"apiGroup": RBAC, "kind": "Role", "name": role}
    made = [
        {"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]} for verb in verbs]},
        {"kind": "RoleBinding", "roleRef": reference, "subjects": subjects},
    ]
    items = [{"apiVersion": f"{RBAC}/v1", "metadata": metadata, **one} for one in made]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def reconcile(kubectl, manifest, *more):
    """What it says was done, and what that took; "" if nothing."""
    done = kubectl("auth", "reconcile", "-f", "-", *more, manifest=manifest, check=False)
    assert done.returncode == 0, done
    assert done.stdout.split("\n")[:2] == [f"role.{RBAC}/reader reconciled", f"rolebinding.{RBAC}/reader reconciled"]
    steps = [line.strip() for line in done.stderr.splitlines()]
    return [step.removeprefix("reconciliation required ") for step in steps if step.startswith("reconciliation")]


def test_reconcile_adds_and_removes_rules_and_subjects(kubectl, namespace):
    assert reconcile(kubectl, rules(namespace, verbs=["get"])) == ["create", "create"]
    assert reconcile(kubectl, rules(namespace, verbs=["get"])) == []
    changed = rules(namespace, verbs=["list"], users=["joe"])
    assert reconcile(kubectl, changed) == ["update", "update"]
    verbs = ("get", "role/reader", "-o", "jsonpath={.rules[*].verbs[*]}")
    users = ("get", "rolebinding/reader", "-o", "jsonpath={.subjects[*].name} {.roleRef.name}")
    assert (kubectl(*verbs), kubectl(*users)) == ("get list", "jane joe reader")
    extra = ("--remove-extra-permissions", "--remove-extra-subjects")
    assert reconcile(kubectl, changed, *extra) == ["update", "update"]
    assert (kubectl(*verbs), kubectl(*users)) == ("list", "joe reader")
    assert reconcile(kubectl, rules(namespace, verbs=["list"], users=["joe"], role="writer")) == ["recreate"]
    assert kubectl(*users) == "joe writer"


def test_reconcile_on_trial_changes_nothing(kubectl, namespace):
    manifest = rules(namespace, verbs=["get"])
    printed = kubectl("auth", "reconcile", "-f", "-", "--dry-run=client", manifest=manifest)
    assert printed.splitlines()[0] == f"role.{RBAC}/reader reconciled (dry run)"
    assert "NotFound" in kubectl.fails("get", "role/reader")


def test_can_i_lists_what_a_role_gives_beside_what_all_may(kubectl):
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps/scale")
    kubectl("create", "role", "one", "--verb=update", "--resource=secrets", "--resource-name=s")
    for role in ("reader", "one"):
        kubectl("create", "rolebinding", role, f"--role={role}", "--user=jane")
    header, *rows = kubectl("auth", "can-i", "--list", "--as=jane").splitlines()
    assert header.split() == ["Resources", "Non-Resource", "URLs", "Resource", "Names", "Verbs"]
    for row in (
        "selfsubjectaccessreviews.authorization.k8s.io [] [] [create]",
        "selfsubjectrulesreviews.authorization.k8s.io [] [] [create]",
        "secrets [] [s] [update]",
        "pods [] [] [get list]",
        "deployments.apps/scale [] [] [get list]",
        "[/healthz] [] [get]",
        "[/api/*] [] [get]",
    ):
        assert row in [" ".join(found.split()) for found in rows]
    assert kubectl("auth", "can-i", "update", "secrets/s", "--as=jane") == "yes\n"
    assert kubectl("auth", "can-i", "update", "secrets", "--as=jane", check=False).stdout == "no\n"
    scale = ("auth", "can-i", "get", "deployments.apps", "--subresource=scale", "--as=jane")
    assert kubectl(*scale) == "yes\n"
    assert kubectl("auth", "can-i", "get", "/healthz", "--as=jane") == "yes\n"
    assert kubectl("auth", "can-i", "get", "/metrics", "--as=jane", check=False).stdout == "no\n"


def test_a_role_labelled_for_view_is_what_viewers_may_do(kubectl, namespace):
    kubectl("create", "rolebinding", "v", "--clusterrole=view", "--user=vera")
    asked = ("auth", "can-i", "get", "podtemplates", "--as=vera")
    assert kubectl(*asked, check=False).stdout.startswith("no")
    kubectl("create", "clusterrole", namespace, "--verb=get", "--resource=podtemplates")
    try:
        kubectl("label", "clusterrole", namespace, f"{RBAC}/aggregate-to-view=true")
        wait_for(lambda: kubectl(*asked, check=False).stdout.startswith("yes"))
    finally:
        kubectl("delete", "clusterrole", namespace)
    wait_for(lambda: kubectl(*asked, check=False).stdout.startswith("no"))


def test_who_am_i_as_a_table(kubectl):
    kubectl.since(28, "authentication.k8s.io/v1")
    rows = [line.split(maxsplit=1) for line in kubectl("auth", "whoami", "--as=jane", "--as-group=dev").splitlines()]
    assert rows == [["ATTRIBUTE", "VALUE"], ["Username", "jane"], ["Groups", "[dev system:authenticated]"]]


def signing_request(name, key=None, **spec):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jane")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "example.com/people",
            "usages": ["client auth"],
            "expirationSeconds": 86400,
            **spec,
        },
    }


@pytest.fixture
def asked(kubectl, namespace):
    """Names of two requests for certificates."""
    names = [f"{namespace}-a", f"{namespace}-b"]
    for name in names:
        kubectl("create", "-f", "-", manifest=signing_request(name))
    yield names
    kubectl("delete", "csr", *names)


def test_a_certificate_is_approved_or_denied_once(kubectl, asked):
    one, other = asked
    made = "certificatesigningrequest.certificates.k8s.io"
    assert kubectl("certificate", "approve", one) == f"{made}/{one} approved\n"
    assert kubectl("certificate", "approve", one) == f"{made}/{one} approved\n"
    assert kubectl("certificate", "deny", other) == f"{made}/{other} denied\n"
    if kubectl.minor >= 22:
        decided = f'error: certificate signing request "{one}" is already Approved\n'
        assert kubectl.fails("certificate", "deny", one) == decided
    rows = [line.split() for line in kubectl("get", "csr", *asked, "--no-headers").splitlines()]
    assert [(row[2:4], row[4], row[5]) for row in rows] == [
        (["example.com/people", "kubernetes-admin"], "24h", decision) for decision in ("Approved", "Denied")
    ]
    described = kubectl("describe", "csr", one)
    assert "Common Name:    jane" in described
    assert "Requested Duration:  24h" in described or kubectl.minor < 22


def test_a_user_who_was_approved_comes_in_with_the_certificate(kubectl, cluster, namespace, tmp_path):
    """The whole way of upstream's page on certificates for clients of the API."""
    name, key = f"{namespace}-user", ec.generate_private_key(ec.SECP256R1())
    made = signing_request(name, key, signerName="kubernetes.io/kube-apiserver-client")
    kubectl("create", "-f", "-", manifest=made)
    kubectl("certificate", "approve", name)
    wait_for(lambda: kubectl("get", "csr", name, "-o", "jsonpath={.status.certificate}"))
    assert kubectl("get", "csr", name, "--no-headers").split()[-1] == "Approved,Issued"
    encoded = kubectl("get", "csr", name, "-o", "jsonpath={.status.certificate}")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "jane.crt").write_bytes(base64.b64decode(encoded))
    (tmp_path / "jane.key").write_bytes(private)
    kubectl("create", "-f", "-", manifest=rules(namespace, verbs=["list"]))
    as_jane = (
        "--kubeconfig=/dev/null",
        f"--server={cluster.status()['daemon']['url']}",
        f"--certificate-authority={cluster.home / 'ca.crt'}",
        f"--client-certificate={tmp_path / 'jane.crt'}",
        f"--client-key={tmp_path / 'jane.key'}",
    )
    assert kubectl("get", "pods", *as_jane) == ""
    assert kubectl.fails("get", "secrets", *as_jane).startswith(
        'Error from server (Forbidden): secrets is forbidden: User "jane" cannot list resource "secrets"'
    )
    kubectl("delete", "csr", name)


def wait_for(found):
    """Within seconds, unless others keep the machine busy."""
    deadline = time.monotonic() + 60
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)
