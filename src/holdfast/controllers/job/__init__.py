"""The Job controller: pods that run to their end, each counted exactly once.

A pod carries the finalizer `batch.kubernetes.io/job-tracking` until the Job's status has counted it. Counting takes
three writes, each decided on what the last one left:

1. the uid of a pod that ended is noted in `status.uncountedTerminatedPods` (of an Indexed job that succeeded: its
   index in `status.completedIndexes`);
2. the pods that the stored status has noted lose the finalizer;
3. the uids without a pod that carries the finalizer leave the list and are added to the counters.

Every write of status depends on the version that was read. So whatever is lost or crashes in between, a pod is
either still there to be counted or its uid is known to be counted.

`plan` decides and reads from top to bottom. Its parts, pure as well: `views` and `pods` (how Jobs and their pods are
read), `tally` (what is counted), `verdict` (whether the Job is over), `work` (which pods to create and delete),
`failures`, `success` and `backoff` (policies), `indexes` and `conditions`. `orphans` frees pods whose Job is gone.
"""
