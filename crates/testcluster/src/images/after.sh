# Runs after the packages of the image are installed: after.sh ROOT
set -eu
server=$(echo "$1"/usr/lib/postgresql/*)
major=${server##*/}

# The JIT compiler is a third of the image, and the server does without when it is absent.
rm -rf "$1"/usr/lib/*/libLLVM* "$1"/usr/lib/*/libz3* "$server/lib/bitcode" "$server/lib"/llvmjit*
rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale" "$1/usr/share/info" "$1"/var/log/*.log

chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"
mkdir -p "$1/docker-entrypoint-initdb.d" "$1/var/lib/postgresql/data" "$1/run/postgresql"
chown -R 26:999 "$1/var/lib/postgresql" "$1/run/postgresql"
chmod 1777 "$1/var/lib/postgresql/data" "$1/run/postgresql"
printf "listen_addresses = '*'\n" >>"$1/usr/share/postgresql/$major/postgresql.conf.sample"
