"""The agent: pods become containers through a runtime driver; volumes, probes, logs, images."""
