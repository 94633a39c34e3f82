"""Snapshots of volumes (V115-V124): what users ask for (`plan`), what lies on the disk (`contents`), and what is kept
from going meanwhile (`protection`)."""
