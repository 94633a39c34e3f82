"""Gives the nodes of machines that join their slices of the pods' ranges."""
