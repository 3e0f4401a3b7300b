# Runs an ssh, and lets it live no longer than the supervisor, however that ends: the supervisor holds the other end of
# standard input, which the kernel closes with it. The group of processes is our own. Arguments: the command.
exec 3<&0
"$@" < /dev/null 3<&- &
ssh=$!
{
  read -r _ <&3
  kill -KILL 0
} &
watch=$!
wait "$ssh"
code=$?
kill -KILL "$watch"
exit "$code"
