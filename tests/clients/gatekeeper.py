"""An operator for `kopf run` whose webhooks it serves itself: labels config maps, refuses some."""

from __future__ import annotations

import os
from pathlib import Path

import kopf


@kopf.on.startup()
def configure(settings, **_):
    pki = Path(os.environ["PKI"])
    settings.admission.managed = "gatekeeper.holdfast.dev"
    settings.admission.server = kopf.WebhookServer(
        addr="127.0.0.1", cafile=pki.parent / "ca.crt", certfile=pki / "node-hook.crt", pkeyfile=pki / "node-hook.key"
    )


@kopf.on.mutate("", "v1", "configmaps", operation="CREATE")
def labelled(patch, **_):
    patch.metadata.labels["gate"] = "passed"


@kopf.on.validate("", "v1", "configmaps")
def refused(body, warnings, **_):
    warnings.append("seen at the gate")
    if body.get("data", {}).get("forbidden"):
        raise kopf.AdmissionError("not through this gate", code=499)
