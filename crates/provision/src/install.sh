# Installs the packages given as arguments with apt. Runs as root, and asks nothing.
# It starts no service and creates no database cluster, and leaves no trace of having seen to that.
set -eu
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

# Maintainer scripts ask this program before they start a service.
policy=/usr/sbin/policy-rc.d
mark='# Written by cargo xtask setup.'
# postgresql-common reads this directory before it creates a cluster.
cluster=/etc/postgresql-common/createcluster.d/xtask-setup.conf

# One at a time: the end of one must not take the policy from another.
exec 9> /run/xtask-setup.lock
flock 9

clean() {
  # Also after a run that was killed: the mark tells our file from the machine's own.
  if grep -qsF "$mark" "$policy"; then rm -f "$policy"; fi
  rm -f "$cluster"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" > "$policy"
  chmod 755 "$policy"
fi
mkdir -p "${cluster%/*}"
echo 'create_main_cluster = false' > "$cluster"

apt() {
  apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 --quiet=2 "$@" >&2 9>&-
}
apt update
apt install --yes --no-install-recommends "$@"

# The tests start a server of their own; the machine's must not come up at the next boot because of them.
case " $* " in
  *" openssh-server "*) systemctl --root=/ --quiet disable ssh.service ssh.socket >&2 || true ;;
esac
case " $* " in
  *" pgbouncer "*) systemctl --root=/ --quiet disable pgbouncer.service >&2 || true ;;
esac
case " $* " in
  *" nginx "*) systemctl --root=/ --quiet disable nginx.service >&2 || true ;;
esac
# The drill starts a container engine of its own as well, and so does a cluster.
case " $* " in
  *" docker.io "* | *" containerd "*) systemctl --root=/ --quiet disable docker.service docker.socket containerd.service >&2 || true ;;
esac
