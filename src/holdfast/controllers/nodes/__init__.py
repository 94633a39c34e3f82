"""Nodes that fall silent: their conditions and taints, the eviction of their pods, and pods of nodes that are gone."""
