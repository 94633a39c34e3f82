"""Kinds that CustomResourceDefinitions define: what an established one makes of a `Resource` (A196-A215).

`structural` is a schema, compiled; `pruning` and `defaulting` bring an object into its form, `validation`, `formats`
and `lists` say what is wrong with it, `rules` evaluates CEL. `types` is the same schema for server-side apply, `paths`
reads printed columns. `decoding` takes bodies apart, `definition` puts all of it together. Everything here is pure.
"""
