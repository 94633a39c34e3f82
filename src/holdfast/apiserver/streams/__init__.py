"""Logs, exec, attach, port-forward and proxies: checked here, then passed through to where the pods are.

The API server looks into none of the upgraded streams: after the backend's 101 it joins the two connections.
"""

from .passing import PodStreams

__all__ = ["PodStreams"]
