"""What is done to a whole StatefulSet and its data: snapshots of one moment, restored, deleted, forked.

Nothing here is kept but in API objects: whoever is interrupted calls the same again, and it goes on from there.
"""
