"""Garbage collection by owner references: what nobody owns any more goes, owners wait where they are asked to."""
