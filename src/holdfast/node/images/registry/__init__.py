"""Registries by the OCI distribution protocol: where to ask, who we are, manifests and blobs, checked.

Runs in the process of a pull (R115); knows neither the image store nor Kubernetes.
"""
