"""The disruption controller: how many pods of a budget may be evicted now, and pods whose eviction came to nothing.

`plan` decides; `expected` counts the pods there should be. Evictions themselves are granted by the API server, which
takes from the status that is written here.
"""
