#!/bin/sh
# What is no program is for curl: an address, an option.
case "${1:-}" in
    '' | -*) set -- curl "$@" ;;
    *) command -v "$1" >/dev/null || set -- curl "$@" ;;
esac
exec "$@"
