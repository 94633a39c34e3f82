#!/bin/bash
# Starts PostgreSQL as the user postgres on the data directory $PGDATA, which it makes at the first start:
# with POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, then with what is in /docker-entrypoint-initdb.d.
set -euo pipefail
shopt -s nullglob

fail() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

# Sets the variable $1 from itself, from the file that $1_FILE names, or to $2.
setting() {
    local name=$1 file="$1_FILE"
    if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
        fail "both $name and $file are set: give one of them"
    elif [ -n "${!file:-}" ]; then
        [ -r "${!file}" ] || fail "$file names ${!file}, which cannot be read"
        export "$name=$(<"${!file}")"
    else
        export "$name=${!name:-$2}"
    fi
    unset "$file"
}

# Whether the arguments ask for something that needs no data.
only_asks() {
    local argument
    for argument; do
        case "$argument" in
            -'?' | --help | --describe-config | -V | --version) return 0 ;;
        esac
    done
    return 1
}

make_directories() {
    mkdir -p "$PGDATA"
    chmod 00700 "$PGDATA" || true
    mkdir -p /var/run/postgresql || true
    chmod 03775 /var/run/postgresql || true
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" ! -user postgres -exec chown postgres {} +
        find /var/run/postgresql ! -user postgres -exec chown postgres {} +
        if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
            mkdir -p "$POSTGRES_INITDB_WALDIR"
            chmod 700 "$POSTGRES_INITDB_WALDIR"
            find "$POSTGRES_INITDB_WALDIR" ! -user postgres -exec chown postgres {} +
        fi
    fi
}

require_password() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        fail "the database is new and the superuser \"$POSTGRES_USER\" has no password.
Set POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) to one that is not empty, for example
    -e POSTGRES_PASSWORD=secret
or let everyone in without a password, which is not recommended, with POSTGRES_HOST_AUTH_METHOD=trust."
    fi
}

make_database_cluster() {
    local arguments
    eval "arguments=($POSTGRES_INITDB_ARGS)"
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || arguments+=(--waldir "$POSTGRES_INITDB_WALDIR")
    [ -z "$POSTGRES_PASSWORD" ] || arguments+=(--pwfile=/dev/stdin)
    initdb --username="$POSTGRES_USER" "${arguments[@]}" <<< "$POSTGRES_PASSWORD"
    local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    printf "\nlisten_addresses = '*'\n" >> "$PGDATA/postgresql.conf"
}

sql() {
    PGHOST= PGHOSTADDR= psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"
}

# Runs what the user gave for a new database, in the order of names.
run_scripts() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        printf '%s: running %s\n' "$0" "$file"
        case "$file" in
            *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) sql --dbname "$POSTGRES_DB" -f "$file" ;;
            *.sql.gz) gzip -dc "$file" | sql --dbname "$POSTGRES_DB" ;;
            *.sql.xz) xz -dc "$file" | sql --dbname "$POSTGRES_DB" ;;
            *.sql.zst) zstd -dc "$file" | sql --dbname "$POSTGRES_DB" ;;
            *) printf '%s: %s is neither .sh nor .sql: ignored\n' "$0" "$file" ;;
        esac
    done
}

# The first start: a server that only this container's own socket reaches, until all is in place. Who is told to
# stop meanwhile finishes first: half a database would be taken for a whole one.
initialise() {
    require_password
    local told_to_stop=
    trap 'told_to_stop=yes' INT TERM
    make_database_cluster
    export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p ${PGPORT:-5432}" -w start
    if [ "$POSTGRES_DB" != postgres ]; then
        sql --dbname postgres -v db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
    fi
    run_scripts
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
    [ -z "$told_to_stop" ] || exit 0
    trap - INT TERM
}

case "${1:-}" in
    '' | -*) set -- postgres "$@" ;;
esac

if [ "$1" = postgres ] && ! only_asks "$@"; then
    make_directories
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
        setting POSTGRES_PASSWORD ''
        setting POSTGRES_USER postgres
        setting POSTGRES_DB "$POSTGRES_USER"
        setting POSTGRES_INITDB_ARGS ''
        : "${POSTGRES_HOST_AUTH_METHOD:=}"
        initialise
    fi
fi
exec "$@"
