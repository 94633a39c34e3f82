"""Cluster DNS: names of services and pods from memory, everything else from the host's resolvers.

`records` knows what is true (pure), `message` knows the wire format, `server` listens.
"""
