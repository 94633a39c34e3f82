"""What patches make of documents: pure functions, one file per kind of patch (A122-A132).

Nothing given to them is changed; what a patch does not touch is shared between the old document and the new one.
The result still has to be decoded: a patch may lead to unknown fields and wrong types.
"""
