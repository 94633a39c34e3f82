"""The network of the pods of one machine: an address for each, a routed link to it, and the way out.

No bridge: every pod has a link of its own and a route of its own (R80, R81).
"""
