"""Addresses, pod networks and, in `dns`, names."""
