"""Who owns which field of an object: managedFields, and what server-side apply does with them (A133-A150).

`nodes` is a kind's fields as a tree that hands out paths, `owned` finds the paths in objects and between two of
them, `entries` reads and writes managedFields, `merging` lays a configuration over an object, `applying` and
`tracking` put it together: the first for apply, the second for every other write. Everything here is pure.
"""
