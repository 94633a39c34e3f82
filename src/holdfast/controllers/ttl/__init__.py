"""Finished Jobs are deleted when their `ttlSecondsAfterFinished` has passed (W56). `plan` decides."""
