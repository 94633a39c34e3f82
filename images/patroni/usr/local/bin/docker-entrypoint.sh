#!/bin/bash
# Starts Patroni as the user postgres. Its settings come from PATRONI_* and from the file that is named; where there is
# none it is made, as in upstream's image for Kubernetes.
set -euo pipefail

write_settings() {
    cat > "$1" <<END
bootstrap:
  dcs:
    postgresql:
      use_pg_rewind: true
  initdb:
    - auth-host: md5
    - auth-local: trust
    - encoding: UTF8
    - locale: C.UTF-8
    - data-checksums
  pg_hba:
    - host all all all md5
    - host replication ${PATRONI_REPLICATION_USERNAME:-standby} all md5
END
}

if [ "$1" = patroni ]; then
    if [ "$(id -u)" = 0 ]; then
        find /home/postgres /run/postgresql ! -user postgres -writable -exec chown postgres {} +
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
    fi
    if [ -n "${POD_IP:-}" ]; then
        export PATRONI_RESTAPI_CONNECT_ADDRESS="${PATRONI_RESTAPI_CONNECT_ADDRESS:-$POD_IP:8008}"
        export PATRONI_POSTGRESQL_CONNECT_ADDRESS="${PATRONI_POSTGRESQL_CONNECT_ADDRESS:-$POD_IP:5432}"
    fi
    [ -e "${2:?the file with settings}" ] || write_settings "$2"
fi
exec "$@"
