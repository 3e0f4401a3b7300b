# Stops and starts one program of the sample service, and tells whether it is stopped, as a writer's
# commands do: SCRIPT stop|start|stopped. The lines before these set `state` (a path without an
# ending), `sources` (a directory), `action`, and the arguments: variables and the program.
set -u

# A test may have prepared a fault for the next call.
if fault=$(cat "$state.$action.fault" 2>/dev/null); then
    rm -f "$state.$action.fault"
    case $fault in
        fail) echo "told to fail" >&2; exit 9 ;;
        hang) exec sleep 600 ;;
        lie) exit 0 ;;
    esac
fi

# A run that was killed may have left a call behind that is still at work.
exec 9>"$state.lock"
flock -w 30 9 || exit 8

# A zombie has no command line.
runs() {
    pid=$(cat "$state.pid" 2>/dev/null) && [ -n "$pid" ] && grep -qsF "$state" "/proc/$pid/cmdline"
}

ends() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        runs || return 0
        sleep 0.1
    done
    return 1
}

case $action in
    start)
        runs && exit 0
        cd "$sources" || exit 7
        # It writes its own number, so that none runs without one. The limit is for a test that was
        # killed.
        setsid sh -c 'echo $$ >"$0.pid"; exec timeout --kill-after=5 900 env "STATE=$0" "$@"' \
            "$state" "$@" >>"$state.log" 2>&1 </dev/null 9>&- &
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            runs && exit 0
            sleep 0.1
        done
        exit 6
        ;;
    stop)
        runs || exit 0
        kill -TERM "$pid"
        ends && exit 0
        kill -KILL -- "-$pid"
        ends
        ;;
    stopped)
        runs && exit 1
        exit 0
        ;;
    *)
        exit 2
        ;;
esac
