"""Ports of pods on this machine's loopback address, through the API, for as long as somebody wants them.

Unlike `kubectl port-forward`, which ends with the pod it began with, every connection asks anew which pod is meant.
"""
