"""The Deployment controller: a ReplicaSet for every template, and steps from the old ones to the new.

`plan` decides and reads from top to bottom. Its parts, pure as well: `sets` (templates, revisions, annotations),
`rollout` (both strategies), `scaling` (proportional), `status` and `conditions`.
"""
