"""Stateful Kubernetes workloads on one machine: API server, controllers, scheduler, node agent, DNS."""

__version__ = "0.1.0"
