"""The DaemonSet controller: a pod on each node that will have one (W40-W43).

`plan` decides: `placement` says which nodes those are, `daemons` what is wrong on one node, `update` what goes next
for a new template, `history` which revision that is, `status` what is reported. `controller` observes and says what
wakes a set, `backoff` is how it remembers pods that failed.
"""
