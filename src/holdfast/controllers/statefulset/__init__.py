"""The StatefulSet controller, by its reference's chapters.

`plan` decides and reads from top to bottom; `identity`, `claims`, `revisions`, `ordering`, `update`, `ownership`
and `status` are its parts, pure as well. `controller` observes and says what wakes a set.
"""
