"""A PostgreSQL under pgbench that keeps account of every transaction it was told is committed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PASSWORD = "secret"
SCRIPT = r"""
\set n :n + 1
INSERT INTO entries VALUES (:run, :client_id, :n);
"""
SCHEMA = "CREATE TABLE entries (run int, client int, n int, PRIMARY KEY (run, client, n))"
CLIENTS = 4
BENCH = """
mkdir -p /ledger
while :; do
  run=$(($(cat /ledger/run 2>/dev/null || echo 0) + 1))
  echo $run > /ledger/next && mv /ledger/next /ledger/run
  PGCONNECT_TIMEOUT=2 pgbench -n -U app -c $CLIENTS -T 5 -D n=0 -D run=$run \\
    -f /script/entry.sql --rate 200 --log --log-prefix=/ledger/run-$run shop > /ledger/out 2>&1
  sleep 0.2
done
"""


def manifests(directory: Path) -> list[dict]:
    """The database, a set of one pod with a claim; and who writes into it, with its ledger in a directory here."""
    labels = {"app": "bank"}
    server = {
        "name": "server",
        "image": "postgres:15",
        "env": [
            {"name": name, "value": value}
            for name, value in {"POSTGRES_USER": "app", "POSTGRES_DB": "shop", "POSTGRES_PASSWORD": PASSWORD}.items()
        ],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "app"]},
            "periodSeconds": 1,
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
            {"name": "files", "mountPath": "/docker-entrypoint-initdb.d/1.sql", "subPath": "schema.sql"},
        ],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}}
    bank = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "bank"},
        "spec": {
            "serviceName": "bank",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [server], "volumes": [{"name": "files", "configMap": {"name": "bank"}}]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bank"},
        "spec": {"clusterIP": "None", "selector": labels, "ports": [{"port": 5432}]},
    }
    return [files(), service, bank, customer(directory, "bank-0.bank")]


def files() -> dict:
    data = {"schema.sql": SCHEMA, "entry.sql": SCRIPT}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bank"}, "data": data}


def customer(directory: Path, host: str, image: str = "postgres:15") -> dict:
    """Who writes into the database on that host, as long as it lives."""
    environment = {"PGHOST": host, "PGPASSWORD": PASSWORD, "CLIENTS": str(CLIENTS)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "customer"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "pgbench",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", BENCH],
                    "env": [{"name": name, "value": value} for name, value in environment.items()],
                    "volumeMounts": [
                        {"name": "ledger", "mountPath": "/ledger"},
                        {"name": "files", "mountPath": "/script"},
                    ],
                }
            ],
            "volumes": [
                {"name": "ledger", "hostPath": {"path": str(directory), "type": "DirectoryOrCreate"}},
                {"name": "files", "configMap": {"name": "bank"}},
            ],
        },
    }


@dataclass(frozen=True)
class Transaction:
    """One that its client was told is committed; in seconds since 1970."""

    began: float
    ended: float


Client = tuple[int, int]
"""The number of a run of pgbench, and of one of its clients."""


def transactions(directory: Path) -> dict[Client, list[Transaction]]:
    """What each client was told is committed, as far as pgbench has written it down: its numbers 1 to so many."""
    found: dict[Client, list[Transaction]] = {}
    for path in directory.glob("run-*.*"):
        run = int(path.name.split(".")[0].removeprefix("run-"))
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) < 7 or words[2] == "failed":
                continue  # the last line of a writer that was killed
            client, _, took_us, _, second, us, late_us = (int(word) for word in words[:7])
            ended = second + us / 1e6
            found.setdefault((run, client), []).append(Transaction(ended - (took_us - late_us) / 1e6, ended))
    return found


def acknowledged(directory: Path) -> dict[Client, int]:
    """How many transactions each client was told are committed."""
    return {client: len(done) for client, done in transactions(directory).items()}


def recorded(rows: str) -> dict[Client, int]:
    """The same as the database has it, of `run|client|count|highest`; every number up to the highest is there."""
    found = {}
    for row in rows.split():
        run, client, count, highest = (int(word) for word in row.split("|"))
        assert count == highest, f"of run {run}, client {client}, {count} of {highest} entries are there"
        found[run, client] = count
    return found


def ask(cluster, pod: str, command: str) -> str:
    """What it prints. Agents that were just started have a moment until they listen."""

    def answer():
        done = cluster.kubectl("exec", pod, "--", "sh", "-c", command, check=False)
        return done if done.returncode == 0 else None

    return cluster.until(f"{pod} answers", answer).stdout


def kept(cluster, pod: str) -> dict[Client, int]:
    """What the database in that pod has; its tables and indexes are whole."""
    login = f"PGPASSWORD={PASSWORD} psql -qAtX -h 127.0.0.1 -U app shop"
    rows = ask(cluster, pod, f'{login} -c "SELECT run, client, count(*), max(n) FROM entries GROUP BY 1, 2"')
    ask(cluster, pod, f"PGPASSWORD={PASSWORD} pg_amcheck --install-missing -h 127.0.0.1 -U app shop")
    return recorded(rows)


def check(cluster, directory: Path, pod: str = "bank-0") -> int:
    """Every transaction that was acknowledged is there; how many."""
    promised = acknowledged(directory)  # before the database is asked: it goes on
    there = kept(cluster, pod)
    lost = {key: (count, there.get(key, 0)) for key, count in promised.items() if there.get(key, 0) < count}
    assert not lost, f"promised and kept, by run and client: {lost}"
    return sum(promised.values())
