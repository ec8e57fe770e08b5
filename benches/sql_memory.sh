#!/usr/bin/env bash
# Reads a million rows (or ROWS) from Postgres, MariaDB and SQLite, streamed and in pages, and fails if memory grows
# with them; then imports them with the program itself, under 96 MiB and 32 bytes for each record more. Needs Debian's postgresql and mariadb-server, as ./test does.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || { echo "mariadb-server is missing; run ./test once" >&2; exit 1; }
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { echo "postgresql is missing; run ./test once" >&2; exit 1; }

exec cargo bench --locked --bench sql "$@"
