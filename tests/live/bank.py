"""A database in a namespace of its own, on one sort of volume, and what is asked of it."""

from __future__ import annotations

from pathlib import Path

import ledger

ENOUGH = 100
"""Transactions, for something to be lost."""


class Bank:
    """With a customer who writes all the time."""

    def __init__(self, cluster, backing: str, directory: Path | None = None) -> None:
        """`directory` is where there is room for the ledger."""
        self.cluster = cluster
        self.backing = backing
        self.ledger = (directory or cluster.home.parent) / f"ledger-{backing}"

    def apply(self, *items: dict) -> None:
        self.cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": list(items)})

    def open(self, size: str, grace_s: int = 30, **claim) -> None:
        self.ledger.mkdir(mode=0o777)
        items = ledger.manifests(self.ledger)
        spec = next(one for one in items if one["kind"] == "StatefulSet")["spec"]
        spec["template"]["spec"]["terminationGracePeriodSeconds"] = grace_s
        (template,) = spec["volumeClaimTemplates"]
        template["spec"] |= {"resources": {"requests": {"storage": size}}, **claim}
        self.apply(*items)
        self.until_ready()
        self.until_written()

    def close(self) -> None:
        self.cluster.kubectl("delete", "sts,pod,volumesnapshot", "--all")
        self.cluster.kubectl("delete", "pvc", "--all")

    def until_ready(self, name: str = "bank") -> None:
        self.cluster.until(
            f"{name} is ready", lambda: self.cluster.get("sts", name).get("status", {}).get("readyReplicas") == 1
        )

    def written(self) -> int:
        return sum(ledger.acknowledged(self.ledger).values())

    def until_written(self) -> None:
        """Enough since now."""
        before = self.written()
        self.cluster.until("transactions are acknowledged", lambda: self.written() > before + ENOUGH)

    def until_written_down(self) -> None:
        """All that was acknowledged until now: pgbench is late with that, but for runs that have ended."""
        run = self._run()
        self.cluster.until("pgbench has begun anew", lambda: self._run() > run)

    def _run(self) -> int:
        return int((self.ledger / "run").read_text())

    def scale(self, replicas: int) -> None:
        self.cluster.kubectl("scale", "sts/bank", f"--replicas={replicas}")
        if replicas:
            self.until_ready()
        else:
            self.cluster.kubectl("wait", "--for=delete", "pod/bank-0", "--timeout=60s")

    def node(self) -> str:
        return self.cluster.get("pod", "bank-0")["spec"]["nodeName"]

    def held_at(self, pod: str, began: float, ready: float) -> None:
        """The copy in that pod is of a moment in between."""
        there, told = ledger.kept(self.cluster, pod), ledger.transactions(self.ledger)
        for client, done in told.items():
            least = sum(one.ended < began for one in done)
            most = sum(one.began < ready for one in done)
            assert least <= there.get(client, 0) <= most, (client, least, there.get(client, 0), most)
        assert there.keys() <= told.keys()
        assert sum(there.values()) > ENOUGH
