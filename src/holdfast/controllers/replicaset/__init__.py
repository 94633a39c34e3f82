"""The controllers of ReplicaSets and ReplicationControllers: the same logic, so many pods and no identity.

`plan` decides; `pods` is how it reads a pod, `victims` whom it deletes first, `status` what it reports.
"""
