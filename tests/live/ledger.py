"""A PostgreSQL under pgbench that keeps account of every transaction it was told is committed."""

from __future__ import annotations

from pathlib import Path

PASSWORD = "secret"
SCRIPT = r"""
\set n :n + 1
INSERT INTO entries VALUES (:run, :client_id, :n);
"""
SCHEMA = "CREATE TABLE entries (run int, client int, n int, PRIMARY KEY (run, client, n))"
CLIENTS = 4
BENCH = f"""
mkdir -p /ledger
while :; do
  run=$(($(cat /ledger/run 2>/dev/null || echo 0) + 1))
  echo $run > /ledger/next && mv /ledger/next /ledger/run
  PGPASSWORD={PASSWORD} PGCONNECT_TIMEOUT=2 pgbench -n -h bank-0.bank -U app -c {CLIENTS} -T 5 -D n=0 -D run=$run \\
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
    data = {"schema.sql": SCHEMA, "entry.sql": SCRIPT}
    customer = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "customer"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "pgbench",
                    "image": "postgres:15",
                    "command": ["sh", "-c", BENCH],
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
    files = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bank"}, "data": data}
    return [files, service, bank, customer]


def acknowledged(directory: Path) -> dict[tuple[int, int], int]:
    """How many transactions each client of each run was told are committed: those are its numbers 1 to so many."""
    found: dict[tuple[int, int], int] = {}
    for path in directory.glob("run-*.*"):
        run = int(path.name.split(".")[0].removeprefix("run-"))
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) < 6 or words[2] == "failed":
                continue  # the last line of a writer that was killed
            key = run, int(words[0])
            found[key] = found.get(key, 0) + 1
    return found


def recorded(rows: str) -> dict[tuple[int, int], int]:
    """The same as the database has it, of `run|client|count|highest`; every number up to the highest is there."""
    found = {}
    for row in rows.split():
        run, client, count, highest = (int(word) for word in row.split("|"))
        assert count == highest, f"of run {run}, client {client}, {count} of {highest} entries are there"
        found[run, client] = count
    return found
