#!/bin/bash
# Starts MariaDB as the user mysql on its data directory, which it makes at the first start: with a password for
# root, with MYSQL_DATABASE, MYSQL_USER and MYSQL_PASSWORD, then with what is in /docker-entrypoint-initdb.d.
# Each MYSQL_NAME may also be given as MARIADB_NAME, and in a file named by MYSQL_NAME_FILE.
set -euo pipefail
shopt -s nullglob

SOCKET=/run/mysqld/mysqld.sock

say() {
    printf '[entrypoint] %s\n' "$*"
}

fail() {
    printf '[entrypoint] Error: %s\n' "$*" >&2
    exit 1
}

# Sets MYSQL_$1 from itself, from MARIADB_$1, from a file that either's _FILE names, or to $2.
setting() {
    local name value='' given=''
    for name in "MYSQL_$1" "MARIADB_$1"; do
        local file="${name}_FILE"
        if [ -n "${!name:-}" ]; then
            [ -z "$given" ] || fail "both $given and $name are set: give one of them"
            given=$name value=${!name}
        fi
        if [ -n "${!file:-}" ]; then
            [ -z "$given" ] || fail "both $given and $file are set: give one of them"
            [ -r "${!file}" ] || fail "$file names ${!file}, which cannot be read"
            given=$file value=$(<"${!file}")
        fi
        unset "$name" "$file"
    done
    printf -v "MYSQL_$1" %s "${value:-$2}"
}

# A text as an SQL literal.
literal() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\\\'}"
}

# A name as an SQL identifier.
identifier() {
    printf '`%s`' "${1//\`/\`\`}"
}

# Options of MySQL that MariaDB does not have are passed so that it warns and goes on.
known_options() {
    options=()
    local option
    for option; do
        case "$option" in
            --default-authentication-plugin* | --default_authentication_plugin* | --mysqlx* | --ssl-mode* | \
                --authentication-policy* | --mysql-native-password*) options+=("--loose-${option#--}") ;;
            *) options+=("$option") ;;
        esac
    done
}

only_asks() {
    local argument
    for argument; do
        case "$argument" in
            -'?' | --help | --print-defaults | -V | --version) return 0 ;;
        esac
    done
    return 1
}

data_directory() {
    mariadbd "$@" --verbose --help 2> /dev/null | awk '$1 == "datadir" { print $2; exit }'
}

read_settings() {
    setting ROOT_PASSWORD ''
    setting ROOT_HOST '%'
    setting ALLOW_EMPTY_PASSWORD ''
    MYSQL_ALLOW_EMPTY_PASSWORD=$MYSQL_ALLOW_EMPTY_PASSWORD${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-}
    setting RANDOM_ROOT_PASSWORD ''
    setting DATABASE ''
    setting USER ''
    setting PASSWORD ''
    if [ -z "$MYSQL_ROOT_PASSWORD$MYSQL_ALLOW_EMPTY_PASSWORD$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
        fail "the database is new and root has no password. Set one of
    MYSQL_ROOT_PASSWORD (or MYSQL_ROOT_PASSWORD_FILE)
    MYSQL_ALLOW_EMPTY_PASSWORD=yes
    MYSQL_RANDOM_ROOT_PASSWORD=yes"
    fi
    if [ "$MYSQL_USER" = root ]; then
        fail 'MYSQL_USER must not be root: the password of root is MYSQL_ROOT_PASSWORD'
    fi
    if [ -n "$MYSQL_USER" ] && [ -z "$MYSQL_PASSWORD" ]; then
        fail "MYSQL_USER is $MYSQL_USER: set MYSQL_PASSWORD too"
    fi
    if [ -n "$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
        MYSQL_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
        say "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
    fi
}

client() {
    mariadb --no-defaults --protocol=socket --socket="$SOCKET" -uroot "$@"
}

start_for_ourselves() {
    mariadbd "$@" --skip-networking --socket="$SOCKET" &
    server=$!
    for ((attempt = 0; attempt < 600; attempt++)); do
        if client -e 'SELECT 1' > /dev/null 2>&1; then
            return
        fi
        kill -0 "$server" 2> /dev/null || fail 'the server did not start: see its messages above'
        sleep 0.1
    done
    fail 'the server did not answer within a minute'
}

first_statements() {
    local password host
    password=$(literal "$MYSQL_ROOT_PASSWORD")
    host=$(literal "$MYSQL_ROOT_HOST")
    echo 'SET @@SESSION.SQL_LOG_BIN = 0;'
    echo "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1', 'root'@$(literal "${HOSTNAME,,}");"
    if [ "$MYSQL_ROOT_HOST" != localhost ]; then
        echo "CREATE USER 'root'@$host IDENTIFIED BY $password;"
        echo "GRANT ALL ON *.* TO 'root'@$host WITH GRANT OPTION;"
    fi
    if [ -n "$MYSQL_DATABASE" ]; then
        echo "CREATE DATABASE IF NOT EXISTS $(identifier "$MYSQL_DATABASE");"
    fi
    if [ -n "$MYSQL_USER" ]; then
        echo "CREATE USER $(literal "$MYSQL_USER")@'%' IDENTIFIED BY $(literal "$MYSQL_PASSWORD");"
        if [ -n "$MYSQL_DATABASE" ]; then
            # In a database's name in GRANT, an underscore would stand for any character.
            echo "GRANT ALL ON $(identifier "${MYSQL_DATABASE//_/\\_}").* TO $(literal "$MYSQL_USER")@'%';"
        fi
    fi
    echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $password;"
}

# Runs what the user gave for a new database, in the order of names.
run_scripts() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        say "running $file"
        case "$file" in
            *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) client ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} < "$file" ;;
            *.sql.gz) gzip -dc "$file" | client ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} ;;
            *.sql.xz) xz -dc "$file" | client ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} ;;
            *.sql.zst) zstd -dc "$file" | client ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} ;;
            *) say "$file is neither .sh nor .sql: ignored" ;;
        esac
    done
}

# The first start: a server that only this container's own socket reaches, until all is in place. Who is told to
# stop meanwhile finishes first: half a database would be taken for a whole one.
initialise() {
    local told_to_stop=
    trap 'told_to_stop=yes' INT TERM
    say "making a database in $data"
    mariadb-install-db --datadir="$data" --auth-root-authentication-method=normal --skip-test-db > /dev/null
    start_for_ourselves "$@"
    first_statements | client
    export MYSQL_PWD=$MYSQL_ROOT_PASSWORD
    run_scripts
    unset MYSQL_PWD
    kill "$server"
    while kill -0 "$server" 2> /dev/null; do
        wait "$server" || true # a signal ends the waiting, not the server
    done
    say 'the database is ready'
    [ -z "$told_to_stop" ] || exit 0
    trap - INT TERM
}

case "${1:-}" in
    '' | -*) set -- mysqld "$@" ;;
esac

if [ "$1" = mysqld ] || [ "$1" = mariadbd ]; then
    shift
    known_options "$@"
    set -- "${options[@]}"
    if ! only_asks "$@"; then
        data=$(data_directory "$@")
        if [ "$(id -u)" = 0 ]; then
            mkdir -p "$data"
            find "$data" /run/mysqld ! -user mysql -exec chown mysql:mysql {} +
            exec setpriv --reuid=mysql --regid=mysql --clear-groups "$BASH_SOURCE" mariadbd "$@"
        fi
        if [ ! -d "$data/mysql" ]; then
            read_settings
            initialise "$@"
        fi
    fi
    set -- mariadbd "$@"
fi
exec "$@"
