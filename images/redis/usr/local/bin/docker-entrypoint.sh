#!/bin/sh
# Starts redis-server as the user redis in /data. Options or a file *.conf alone are options for redis-server.
set -e

case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis:redis {} +
    set -- setpriv --reuid=redis --regid=redis --clear-groups "$@"
fi
exec "$@"
