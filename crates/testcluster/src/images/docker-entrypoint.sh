#!/bin/sh
# The entry point of the local PostgreSQL images. It behaves as that of the official image does, as far as tests and
# drills can see: the same variables and directories, a first start whose log is on stdout, the real one's on stderr.
set -eu

case "${1:-}" in
  '' | -*) set -- postgres "$@" ;;
esac
if [ "$1" != postgres ]; then
  exec "$@"
fi

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}

initialise() {
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
    echo "error: set POSTGRES_PASSWORD to a password for the superuser" >&2
    exit 1
  fi
  password=$(mktemp)
  printf '%s\n' "${POSTGRES_PASSWORD:-}" >"$password"
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    set -- --pwfile="$password" "$@"
  fi
  # As in the official image, the arguments may hold quotes.
  eval "initdb --pgdata=\"\$PGDATA\" --username=\"\$user\" ${POSTGRES_INITDB_ARGS:-} \"\$@\""
  rm -f "$password"
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

  # On the socket only, so that nobody connects from outside before the end. pg_ctl sends the log to stdout.
  pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait start
  export PGPASSWORD="${POSTGRES_PASSWORD:-}"
  if [ "$database" != postgres ]; then
    psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$user" --dbname=postgres --set=database="$database" <<'SQL'
CREATE DATABASE :"database";
SQL
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$user" --dbname="$database" --file="$file" ;;
      *.sql.gz) gunzip -c "$file" | psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$user" --dbname="$database" ;;
    esac
  done
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
  unset PGPASSWORD
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  shift
  initialise
  set -- postgres "$@"
fi
exec "$@"
