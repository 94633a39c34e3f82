"""Requests for certificates: what they have to say, who may change what of them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from holdfast.api.certificates.certificate_signing_request import CERTIFICATE_SIGNING_REQUESTS as REQUESTS
from holdfast.api.certificates.certificate_signing_request import timed, validate_approval
from holdfast.api.resource import Manifest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
APPROVED: Manifest = {"type": "Approved", "status": "True", "reason": "Test"}
DENIED: Manifest = {"type": "Denied", "status": "True"}


@cache
def pem(*organizations: str) -> str:
    """A request for a certificate, in base64."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "jane")]
    attributes += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return base64.b64encode(signed.public_bytes(Encoding.PEM)).decode()


def request(*conditions: Manifest, **changed: Any) -> Manifest:
    spec = {"request": pem(), "signerName": "example.com/signer", "usages": ["client auth"], **changed}
    made: Manifest = {"metadata": {"name": "a"}, "spec": spec}
    REQUESTS.default(made)
    if conditions:
        made["status"]["conditions"] = [*conditions]
    return made


def texts(errors: Any) -> list[str]:
    return [str(error) for error in errors]


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"usages": []}, "spec.usages: Required value: usages must be provided"),
        ({"usages": ["any", "any"]}, 'spec.usages[1]: Duplicate value: "any"'),
        ({"signerName": ""}, "spec.signerName: Required value: signerName must be provided"),
        (
            {"signerName": "example.com"},
            'spec.signerName: Invalid value: "example.com": must be a fully qualified domain and path of the form '
            "'example.com/signer-name'",
        ),
        (
            {"signerName": "example/x"},
            'spec.signerName: Invalid value: "example": '
            "should be a domain with at least two segments separated by dots",
        ),
        (
            {"signerName": "kubernetes.io/legacy-unknown"},
            'spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via '
            "this API version",
        ),
        (
            {"expirationSeconds": 599},
            "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)",
        ),
        ({"request": "Yg=="}, 'spec.request: Invalid value: "Yg==": PEM block type must be CERTIFICATE REQUEST'),
    ],
)
def test_a_request_is_refused_in_upstreams_words(changed: Manifest, refusal: str) -> None:
    assert texts(REQUESTS.validate(request())) == []
    assert texts(REQUESTS.validate(request(**changed))) == [refusal]


def test_a_request_whose_signature_is_wrong_is_refused() -> None:
    content = x509.load_pem_x509_csr(base64.b64decode(pem()))
    broken = bytearray(content.public_bytes(Encoding.DER))
    broken[-1] ^= 1
    lines = base64.encodebytes(bytes(broken)).decode()
    text = f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}-----END CERTIFICATE REQUEST-----\n"
    (error,) = REQUESTS.validate(request(request=base64.b64encode(text.encode()).decode()))
    assert error.field == "spec.request"


def test_what_was_asked_for_stays_as_it_was_asked() -> None:
    new = request(usages=["any"])
    REQUESTS.prepare_update(new, request())
    assert new["spec"]["usages"] == ["client auth"]


def test_approval_and_denial_exclude_each_other_and_last() -> None:
    assert texts(validate_approval(request(APPROVED), request())) == []
    both = texts(validate_approval(request(APPROVED, DENIED), request(APPROVED)))
    assert both == [
        'status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive'
    ]
    assert texts(validate_approval(request(), request(APPROVED))) == [
        'status.conditions: Forbidden: updates may not remove a condition of type "Approved"'
    ]
    assert texts(validate_approval(request({**APPROVED, "status": "False"}), request())) == [
        'status.conditions[0].status: Unsupported value: "False": supported values: "True"'
    ]


def test_signers_neither_approve_nor_replace_a_certificate() -> None:
    assert texts(REQUESTS.validate_status_update(request(APPROVED), request())) == [
        'status.conditions: Forbidden: updates may not add a condition of type "Approved"'
    ]
    assert texts(REQUESTS.validate_status_update(request({"type": "Failed", "status": "True"}), request())) == []
    old, new = request(), request()
    old["status"]["certificate"] = "Yg=="
    assert "status.certificate: Forbidden: updates may not change the certificate" in texts(
        REQUESTS.validate_status_update(new, old)
    )


def test_conditions_are_given_the_times_that_they_lack() -> None:
    then, now = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    (first,) = timed([APPROVED], [], then)
    assert first == {**APPROVED, "lastUpdateTime": then, "lastTransitionTime": then}
    (again,) = timed([{**APPROVED, "message": "x"}], [first], now)
    assert (again["lastUpdateTime"], again["lastTransitionTime"]) == (now, then)
    assert timed([first], [first], now) == [first]


@pytest.mark.parametrize(
    ("conditions", "certificate", "state"),
    [
        ((), "", "Pending"),
        ((APPROVED,), "", "Approved"),
        ((DENIED,), "", "Denied"),
        ((APPROVED,), "Yg==", "Approved,Issued"),
        ((APPROVED, {"type": "Failed", "status": "True"}), "", "Approved,Failed"),
    ],
)
def test_a_requests_state_is_printed(conditions: tuple[Manifest, ...], certificate: str, state: str) -> None:
    made = request(*conditions, username="jane", expirationSeconds=3600)
    made["status"]["certificate"] = certificate
    assert REQUESTS.cells(made, NOW) == ["a", "<unknown>", "example.com/signer", "jane", "60m", state]
