"""The group `metrics.k8s.io`: what nodes and pods use, asked of the agents when a client asks (A277).

`samples` reads what agents answer and tells rates, `scraping` asks them, `objects` writes what clients get.
"""

from .serving import Metrics

__all__ = ["Metrics"]
