"""The types of every built-in kind, compiled on first use from upstream's own data (A270-A276).

`definitions` reads the OpenAPI definitions, `messages` the protobuf field table, `types` joins both into a tree of
`Type`s that patches and OpenAPI walk, `structs` turns a type into a fast decoder, `walk` is the slow way that
names everything that is wrong.
"""
