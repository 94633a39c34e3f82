"""Logs, exec, attach and port-forward: checked here, then passed through to the agent of the pod's node.

The API server looks into none of the streams: after the agent's 101 it joins the two connections.
"""

from .passing import PodStreams

__all__ = ["PodStreams"]
