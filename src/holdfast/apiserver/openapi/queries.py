"""The query parameters of operations: what each is, and which an operation takes."""

from __future__ import annotations

PARAMETERS: dict[str, tuple[str, str]] = {
    "allowWatchBookmarks": ("boolean", "Whether a watch carries events of type `BOOKMARK`; ignored without a watch."),
    "command": ("string", "The command and its arguments, one parameter each; no shell reads it."),
    "container": ("string", "The container; needed where the pod has several and none of them is the default."),
    "continue": ("string", "Where the list goes on: the value that the part before it came with."),
    "dryRun": ("string", "When present, indicates that modifications should not be persisted: `All` or nothing."),
    "fieldManager": ("string", "The name of the actor that makes this change, at most 128 characters."),
    "fieldSelector": ("string", "Only objects whose fields have these values. Defaults to everything."),
    "fieldValidation": ("string", "What becomes of unknown and duplicate fields: Ignore, Warn or Strict."),
    "follow": ("boolean", "Whether the stream goes on with what the container writes. Defaults to false."),
    "force": ("boolean", "Whether an apply takes fields over from other managers."),
    "gracePeriodSeconds": ("integer", "The seconds an object has to end; zero deletes it at once."),
    "insecureSkipTLSVerifyBackend": ("boolean", "Whether the node's certificate may be anyone's."),
    "labelSelector": ("string", "Only objects whose labels match. Defaults to everything."),
    "limit": ("integer", "How many objects the answer holds at most; with more, it says where the list continues."),
    "limitBytes": ("integer", "How many bytes of the log to send at most."),
    "orphanDependents": ("boolean", "Deprecated: use propagationPolicy. Whether dependents stay."),
    "path": ("string", "The part of the URL to ask the target for."),
    "ports": ("integer", "The port to forward; needed where the connection is a WebSocket."),
    "pretty": ("string", "If true, the output is indented."),
    "previous": ("boolean", "Whether to send the log of the container's last run but one. Defaults to false."),
    "propagationPolicy": ("string", "What becomes of dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "The version to list, or to watch from. Defaults to unset."),
    "resourceVersionMatch": ("string", "How resourceVersion applies to a list: Exact or NotOlderThan."),
    "sendInitialEvents": ("boolean", "Whether a watch starts with the objects there are and a bookmark behind them."),
    "sinceSeconds": ("integer", "Only lines at most so many seconds old."),
    "stderr": ("boolean", "Whether the container's standard error is passed on."),
    "stdin": ("boolean", "Whether standard input is passed to the container. Defaults to false."),
    "stdout": ("boolean", "Whether the container's standard output is passed on."),
    "stream": ("string", "Which stream's lines to send: All, Stdout or Stderr."),
    "tailLines": ("integer", "Only so many lines from the end. Defaults to all."),
    "timeoutSeconds": ("integer", "How long the call lasts at most, whatever happens in it."),
    "timestamps": ("boolean", "Whether each line begins with the time it was written. Defaults to false."),
    "tty": ("boolean", "Whether the container is given a terminal. Defaults to false."),
    "watch": ("boolean", "Whether to send changes as a stream instead of a list."),
}
"""Type and description by name. Those of PATCH are what kubectl looks for (A31)."""

READING = ("pretty",)
WRITING = ("dryRun", "fieldManager", "fieldValidation", "pretty")
PATCHING = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")
DELETING = ("dryRun", "gracePeriodSeconds", "orphanDependents", "pretty", "propagationPolicy")
_SELECTING = ("continue", "fieldSelector", "labelSelector", "limit", "pretty", "resourceVersion",
              "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds")  # fmt: skip
LISTING = ("allowWatchBookmarks", *_SELECTING, "watch")
DELETING_MANY = tuple(sorted({*DELETING, *_SELECTING}))

_STREAMING = ("container", "stderr", "stdin", "stdout", "tty")
CONNECTING: dict[str, tuple[str, ...]] = {
    "attach": _STREAMING,
    "exec": ("command", *_STREAMING),
    "portforward": ("ports",),
    "proxy": ("path",),
}
"""By the subresource that hands the connection on."""

LOG = ("container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "pretty", "previous", "sinceSeconds",
       "stream", "tailLines", "timestamps")  # fmt: skip
