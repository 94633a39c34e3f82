"""An operator for `kopf run`: greets stateful sets with a label, tells on standard output what it sees."""

from __future__ import annotations

import kopf


def tell(*words):
    print("saw", *words, flush=True)


@kopf.on.startup()
def configure(settings, **_):
    settings.persistence.finalizer = "holdfast.dev/kopf"


@kopf.on.create("apps", "v1", "statefulsets")
def created(name, body, patch, **_):
    kopf.info(body, reason="Greeted", message="hello")
    patch.metadata.labels["greeted"] = "yes"
    tell("created", name)


@kopf.on.update("apps", "v1", "statefulsets", field="spec.replicas")
def scaled(name, old, new, **_):
    tell("scaled", name, old, new)


@kopf.on.delete("apps", "v1", "statefulsets")
def deleted(name, **_):
    tell("deleted", name)


@kopf.on.event("", "v1", "configmaps")
def changed(name, event, **_):
    if name == "c":
        tell("event", event["type"])


@kopf.on.create("example.com", "v1", "greetings")
def greeted(name, spec, patch, **_):
    patch.status["said"] = f"{spec['word']}, {name}"
    tell("greeted", name)


@kopf.on.update("example.com", "v1", "greetings", field="spec.word")
def reworded(name, new, patch, **_):
    patch.status["said"] = f"{new}, {name}"
    tell("reworded", name, new)


@kopf.on.delete("example.com", "v1", "greetings")
def left(name, **_):
    tell("left", name)
