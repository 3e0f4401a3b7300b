# Runs a Docker engine for as long as one of its owners lives: supervise.sh DIRECTORY [OPTION OF DOCKERD]…
#
# An owner is a file DIRECTORY/owners/PID-START, where START is when that process started. However an owner ends, the
# engine stops within a second or two, and its containers with it.
set -u
directory=$1
shift
cd "$directory" || exit 1

dockerd --data-root "$directory/data" --exec-root "$directory/exec" --host "unix://$directory/docker.sock" \
  --pidfile "$directory/docker.pid" "$@" </dev/null >dockerd.log 2>&1 &
engine=$!
trap 'kill "$engine" 2>/dev/null' TERM INT HUP

# Field 22 of the file, counted after the name, which may hold anything.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

needed() {
  for owner in owners/*; do
    [ -e "$owner" ] || continue
    name=${owner#owners/}
    if [ "$name" = kept ] || [ "$(started "${name%-*}")" = "${name#*-}" ]; then return 0; fi
    rm -f "$owner"
  done
  return 1
}

while kill -0 "$engine" 2>/dev/null; do
  sleep 1
  if needed; then continue; fi
  # Who wants the engine registers under this lock, and so finds it either needed or gone.
  exec 9>lock
  flock 9
  if ! needed; then kill "$engine" 2>/dev/null; wait "$engine"; exit 0; fi
  exec 9>&-
done
wait "$engine"
