# Runs before the packages of the image are installed: before.sh ROOT
set -eu

# 26 is the user that CloudNativePG runs its servers as; plain containers go by the name.
echo 'postgres:x:999:' >>"$1/etc/group"
echo 'postgres:x:26:999::/var/lib/postgresql:/bin/bash' >>"$1/etc/passwd"
mkdir -p "$1/etc/postgresql-common"
echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.conf"
