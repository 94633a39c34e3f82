"""Secrets that hold a token of a service account: filled, and removed with the account."""
