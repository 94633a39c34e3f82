"""Patroni: PostgreSQL that elects its leader through the API, as a client in pods and a stateful workload at once.

The members of `docs/tutorials/7-election`, three and synchronous: whatever becomes of the leader, what a client was
told is there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import ledger
from bank import ENOUGH

LESSON = Path(__file__).parents[2] / "docs/tutorials/7-election"
MANIFESTS = [LESSON / f"{name}.yaml" for name in ("rights", "settings", "services", "members")]
NAME = "patronidemo"
MEMBERS = [f"{NAME}-{i}" for i in range(3)]
POSTMASTER = "/home/postgres/pgdata/pgroot/data/postmaster.pid"
APP = f"CREATE ROLE app SUPERUSER LOGIN PASSWORD '{ledger.PASSWORD}'"


class Members:
    """The database, and a customer who writes into it all the time."""

    def __init__(self, cluster) -> None:
        self.cluster = cluster
        self.ledger = cluster.home.parent / "ledger"

    def open(self) -> None:
        self.cluster.kubectl("apply", *(f"--filename={path}" for path in MANIFESTS))
        leader = self.until_settled()
        self.inside(leader, "psql", "-c", APP, "-c", "CREATE DATABASE shop")
        self.inside(leader, "psql", "-U", "app", "-d", "shop", "-c", ledger.SCHEMA)
        self.ledger.mkdir(mode=0o777)
        items = [ledger.files(), ledger.customer(self.ledger, NAME, image="patroni")]
        self.cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": items})
        self.until_written()

    def inside(self, pod: str, *command: str) -> str:
        return self.cluster.kubectl("exec", pod, "--", *command)

    def election(self) -> dict:
        """Who leads, since when, and when that was said for the last time."""
        return self.cluster.get("endpoints", NAME)["metadata"]["annotations"]

    def until_settled(self, but: str = "") -> str:
        """Who leads, once all members work, and labels, endpoints and slices say the same. `but` leads no more."""
        return self.cluster.until("the members are settled", lambda: self._settled(but), within_s=180)

    def _settled(self, but: str) -> str | None:
        found = self.cluster.get("pods,endpoints,endpointslices", "-l", f"cluster-name={NAME}")["items"]
        pods = {one["metadata"]["name"]: one for one in found if one["kind"] == "Pod"}
        roles = {name: pod["metadata"]["labels"].get("role") for name, pod in pods.items()}
        leaders = [name for name, role in roles.items() if role == "master"]
        if sorted(pods) != MEMBERS or leaders in ([], [but]) or not all(map(is_ready, pods.values())):
            return None
        (leader,) = leaders
        others = sorted(set(MEMBERS) - {leader})
        ips = {name: pod["status"]["podIP"] for name, pod in pods.items()}
        (elected,) = (one for one in found if (one["kind"], one["metadata"]["name"]) == ("Endpoints", NAME))
        agree = (
            [roles[other] for other in others] == ["replica", "replica"]
            and elected["metadata"]["annotations"]["leader"] == leader
            and [one["ip"] for part in elected["subsets"] for one in part["addresses"]] == [ips[leader]]
            and routed(found, NAME) == [ips[leader]]
            and routed(found, f"{NAME}-repl") == sorted(ips[other] for other in others)
        )
        return leader if agree and self.works(leader, others) else None

    def works(self, leader: str, others: list[str]) -> bool:
        """Whether the members' own tool shows them at work."""
        listed = json.loads(self.inside(leader, "patronictl", "list", "-f", "json"))
        states = {one["Member"]: (one["Role"], one["State"]) for one in listed}
        follow = sorted(states[other] for other in others)
        return (states[leader], *follow) == (("Leader", "running"), ("Replica", "running"), ("Sync Standby", "running"))

    def ask(self, host: str, statement: str) -> str:
        """What the customer is told there."""
        return self.cluster.kubectl("exec", "customer", "--", *self.query(host, statement)).strip()

    def query(self, host: str, statement: str) -> list[str]:
        return ["psql", "-qAtX", "-h", host, "-U", "app", "-d", "shop", "-c", statement]

    def until_written(self) -> None:
        """Enough since now."""
        before = self.written()
        self.cluster.until("transactions are acknowledged", lambda: self.written() > before + ENOUGH)

    def written(self) -> int:
        return sum(ledger.acknowledged(self.ledger).values())

    def until_led_by_another(self, before: str) -> str:
        """Who leads; through the service one reaches that member, and it has all that was promised."""
        leader = self.until_settled(but=before)
        self.until_written()
        assert self.where() == (self.ip(leader), "f")
        ledger.check(self.cluster, self.ledger, leader)
        return leader

    def where(self) -> tuple[str, ...]:
        """The address behind the leader's service, and whether it only repeats what another one does."""
        return tuple(self.ask(NAME, "SELECT host(inet_server_addr()), pg_is_in_recovery()").split("|"))

    def ip(self, pod: str) -> str:
        return self.cluster.get("pod", pod)["status"]["podIP"]

    def began(self, pod: str) -> str | None:
        """When its PostgreSQL was started; None while it is not there."""
        when = ("psql", "-At", "-c", "SELECT pg_postmaster_start_time()")
        done = self.cluster.kubectl("exec", pod, "--", *when, check=False)
        return done.stdout if done.returncode == 0 else None

    def restarts(self, pod: str) -> int:
        (status,) = self.cluster.get("pod", pod)["status"]["containerStatuses"]
        return status["restartCount"]


def is_ready(pod: dict) -> bool:
    states = pod["status"].get("containerStatuses") or ()
    return "deletionTimestamp" not in pod["metadata"] and bool(states) and all(one["ready"] for one in states)


def routed(found: list[dict], service: str) -> list[str]:
    """The addresses that the service leads to, of the slices among what was found."""
    label = "kubernetes.io/service-name"
    slices = [one for one in found if one["metadata"]["labels"].get(label) == service]
    ready = [one for part in slices for one in part["endpoints"] or () if one["conditions"]["ready"]]
    return sorted(address for one in ready for address in one["addresses"])


@pytest.fixture(scope="module")
def members(any_kubectl, load_images):
    from .conftest import Cluster, purge

    cluster = Cluster(Path(tempfile.mkdtemp(prefix="hf-test-")) / "h", any_kubectl)
    try:
        cluster.up()
        load_images(cluster, "patroni")
        made = Members(cluster)
        made.open()
        yield made
    finally:
        purge(cluster)


def test_who_follows_answers_and_does_not_write(members):
    assert members.where() == (members.ip(members.until_settled()), "f")
    count, replicas = "SELECT count(*) FROM entries", f"{NAME}-repl"
    told = int(members.ask(NAME, count))
    members.cluster.until("it is repeated", lambda: int(members.ask(replicas, count)) >= told)
    statement = members.query(replicas, "CREATE TABLE t ()")
    refused = members.cluster.kubectl("exec", "customer", "--", *statement, check=False)
    assert "cannot execute CREATE TABLE in a read-only transaction" in refused.stderr


def test_a_leader_hands_over(members):
    before = members.until_settled()
    said = members.inside(MEMBERS[0], "patronictl", "switchover", "--master", before, "--force")
    assert "Successfully switched over to" in said
    members.until_led_by_another(before)


def test_a_leader_that_is_deleted_comes_back_and_follows(members):
    before = members.until_settled()
    members.cluster.kubectl("delete", "pod", before)
    members.until_led_by_another(before)


def test_a_leader_whose_postgres_is_killed_is_started_again_or_followed(members):
    """Which of the two is for Patroni to say. What it had promised is there."""
    struck = members.until_settled()
    began = members.began(struck)
    members.inside(struck, "sh", "-c", f"kill -9 $(head -1 {POSTMASTER})")
    members.cluster.until("it was started again", lambda: members.began(struck) not in (None, began))
    leader = members.until_settled()
    members.until_written()
    ledger.check(members.cluster, members.ledger, leader)


def test_nobody_elects_because_a_daemon_was_killed(members):
    """Who leads gives up when the API is away for long. A restart is short."""
    leader = members.until_settled()
    before = {name: (members.began(name), members.restarts(name)) for name in MEMBERS}
    elected = members.election()
    members.cluster.kill("daemon")
    members.cluster.holdfast("up", "--no-merge")
    away = members.election()["renewTime"]
    members.cluster.until("the leader says again that it leads", lambda: members.election()["renewTime"] > away)
    members.until_written()
    assert members.until_settled() == leader
    assert {name: (members.began(name), members.restarts(name)) for name in MEMBERS} == before
    for what in ("leader", "acquireTime", "transitions"):
        assert members.election()[what] == elected[what]
    ledger.check(members.cluster, members.ledger, leader)


def test_in_the_end_all_have_the_same(members):
    leader = members.until_settled()
    members.cluster.kubectl("delete", "pod", "customer")
    assert ledger.check(members.cluster, members.ledger, leader) > ENOUGH
    rows = ("psql", "-At", "-d", "shop", "-c", "SELECT count(*), max(run) FROM entries")
    kept = members.inside(leader, *rows)
    members.cluster.until("all have it", lambda: {members.inside(name, *rows) for name in MEMBERS} == {kept})
