"""A StatefulSet's life of which the seed draws everything: the set, the machines, what goes wrong, what users do.

A life is a `Story`: data, drawn first and played then, so that it can be written down, shortened and played again.
"""
