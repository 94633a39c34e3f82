"""Why something is not as it is wanted: the chain of causes down to the first, and the command that cures it.

`evidence` reads a cluster through its API, once; everything else decides from what was read, purely. Each module
knows one sort of object: it says what is wrong with one and, where the cause lies with another, asks that one's.
"""
