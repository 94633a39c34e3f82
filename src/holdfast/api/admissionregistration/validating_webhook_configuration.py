"""ValidatingWebhookConfigurations: who is asked before something is stored, to refuse it (A246)."""

from __future__ import annotations

from functools import partial

from holdfast.api.resource import Manifest, Resource

from .expressions import in_webhooks, unevaluated
from .matching import GROUP
from .webhooks import COLUMNS, cells, content, default_webhook, validate_webhooks


def default(configuration: Manifest) -> None:
    for webhook in configuration.get("webhooks", ()):
        default_webhook(webhook)


VALIDATING_WEBHOOK_CONFIGURATIONS = Resource(
    group=GROUP,
    version="v1",
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    namespaced=False,
    categories=("api-extensions",),
    default=default,
    validate=partial(validate_webhooks, has_reinvocation=False),
    create_warnings=lambda configuration: unevaluated(in_webhooks(configuration)),
    columns=COLUMNS,
    cells=cells,
    has_generation=True,
    generation_of=content,
    allows_unconditional_update=False,
)
