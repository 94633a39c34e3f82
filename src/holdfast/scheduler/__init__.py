"""Pods to nodes: filters, scores, one binding."""
