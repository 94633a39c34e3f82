"""Volumes that have to be attached to the nodes whose pods use them (V48)."""
