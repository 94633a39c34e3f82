"""Pods are ended before the node runs out of memory, disk or process ids, or when they use more disk than they may.

`thresholds` says when the node is short of something, `ranking` which pod goes first, `limits` which pod has
passed its own limit: all pure. `measuring` looks at this machine, `manager` does it every ten seconds.
"""
