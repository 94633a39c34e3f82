"""A local, indexed, read-only view of one kind, kept by list and watch."""
