#!/bin/sh
# A worker of the protocol in POSIX shell and curl: one run at a time, each task a program.
#
#   OPENQUEUE_URL=https://shop.example/openqueue OPENQUEUE_TOKEN=oq_... sh worker.sh QUEUE [DIRECTORY]
#
# DIRECTORY holds, for each task, its definition (ID.json) and its body (ID, executable). A body reads the run on its
# standard input as the claim gave it, prints its result, JSON, and says on standard error what is to be kept as log.
# It ends with 0; with 65 (EX_DATAERR) when another attempt would not help; with anything else when one may.
set -u
umask 077

queue=${1:?"usage: worker.sh QUEUE [DIRECTORY]"}
tasks=${2:-$(dirname "$0")/tasks}
url=${OPENQUEUE_URL:?"set OPENQUEUE_URL to the address of the include, without /v1"}/v1
room=$(mktemp -d)
stopping=
body=
beats=
printf 'authorization: Bearer %s\ncontent-type: application/json\n' "${OPENQUEUE_TOKEN:?}" >"$room/headers"
# The secret is in a file of ours, and not in the environment of bodies or the arguments of curl.
unset OPENQUEUE_TOKEN

say() { printf '%s %s\n' "$(date '+%H:%M:%S')" "$*" >&2; }

# The value of a member that comes before the payload: no text that a user chose can stand in front of it.
member() {
    value=${2#*\"$1\":}
    case $value in
        \"*) value=${value#\"} && printf '%s' "${value%%\"*}" ;;
        *) printf '%s' "${value%%[,\}]*}" ;;
    esac
}

# Text as a JSON string.
quoted() {
    printf '"%s"' "$(head -c 8000 | tr '\t\r' '  ' | tr -d '\000-\010\013\014\016-\037' |
        sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk '{ printf "%s%s", line, $0; line = "\\n" }')"
}

# Send one request: `send POST claims BODY`. What came is in $answer, its status in $status, 000 without one.
send() {
    answer=$(printf '%s' "$3" | curl -sS -X "$1" --max-time 60 -H "@$room/headers" --data-binary @- \
        -w '\n%{http_code}' "$url/worker/$2" 2>"$room/curl")
    status=${answer##*
}
    answer=${answer%
*}
}

# Send what has to arrive: the same again until somebody answers. The server does it once.
insist() {
    while send "$@"; do
        case $status in
            000 | 429 | 5*) say "no answer to $2 ($status): again" && sleep 1 ;;
            *) return ;;
        esac
    done
}

define() {
    for definition in "$tasks"/*.json; do
        name=$(basename "$definition" .json)
        insist PUT "tasks/$name" "$(sed "s/\"QUEUE\"/\"$queue\"/" "$definition")"
        case $status in
            20?) ;;
            *) say "$name was refused: $answer" && exit 1 ;;
        esac
        names="${names:+$names,}\"$name\""
    done
}

register() {
    insist POST registrations "{\"queues\":[\"$queue\"],\"tasks\":[$names],\"language\":\"sh\",\"slots\":1,\
\"host\":\"$(uname -n)\",\"pid\":$$}"
    [ "$status" = 201 ] || { say "not registered: $answer" && exit 1; }
    worker=$(member worker "$answer")
    heartbeat=$(member heartbeat "$answer")
    wait_for=$(member longest_wait "$answer")
    say "registered as $worker"
}

# Beside a body: keep the lease, and end the body when somebody asks for that, or when its time is over.
keep() {
    nap=
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    left=$timeout
    while :; do
        pause=$heartbeat
        [ "$left" = null ] || [ "${left%.*}" -gt "${pause%.*}" ] || pause=$left
        sleep "$pause" &
        nap=$!
        wait "$nap"
        # A TERM that came before the trap was set was lost: the body may have ended, and its number be another's.
        [ "$(cat "$room/lease" 2>/dev/null)" = "$lease" ] || exit
        if [ "$left" != null ]; then
            left=$((${left%.*} - ${pause%.*}))
            [ "$left" -gt 0 ] || { : >"$room/timed_out" && kill "$1" && exit; }
        fi
        send POST heartbeats "{\"worker\":\"$worker\",\"leases\":[\"$lease\"]}"
        case $answer in
            *'"lost":[]'*) ;;
            *'"lost":['* | *worker_gone*) : >"$room/lost" && kill "$1" && exit ;;
        esac
        case $answer in
            *'"cancel":[]'*) ;;
            *'"cancel":['*) : >"$room/cancelled" && kill "$1" && exit ;;
        esac
    done
}

# Do the run of this answer, and say how it ended.
work() {
    run=${1#*\"runs\":\[}
    run=${run%\]\}}
    lease=$(member lease "$run")
    task=$(member task "$run")
    timeout=$(member timeout "$run")
    rm -f "$room/timed_out" "$room/cancelled" "$room/lost"
    printf '%s\n' "$run" >"$room/run"
    printf '%s' "$lease" >"$room/lease"
    "$tasks/$task" <"$room/run" >"$room/result" 2>"$room/log" &
    body=$!
    keep "$body" &
    beats=$!
    # A signal ends `wait`, not the body.
    while wait "$body"; ended=$?; kill -0 "$body" 2>/dev/null; do :; done
    rm -f "$room/lease"
    kill "$beats" 2>/dev/null
    body= beats=
    if [ -s "$room/log" ]; then
        send POST logs "{\"logs\":[{\"lease\":\"$lease\",\"lines\":[{\"text\":$(quoted <"$room/log")}]}]}"
    fi
    if [ -e "$room/lost" ]; then
        say "$task: its lease was lost, nothing of it counts"
        return
    fi
    if [ "$ended" = 0 ]; then
        insist POST completions "{\"completions\":[{\"lease\":\"$lease\",\"result\":$(cat "$room/result")}]}"
        [ "$status" != 400 ] || failed 65 "it printed what is no JSON"
    else
        failed "$ended" "it ended with $ended"
    fi
    say "$task: $(member status "$answer")"
}

failed() {
    facts=
    [ "$1" != 65 ] || facts=',"retry":false'
    [ ! -e "$room/timed_out" ] || facts=',"timed_out":true'
    [ ! -e "$room/cancelled" ] || facts=',"cancelled":true'
    insist POST failures "{\"failures\":[{\"lease\":\"$lease\",\"type\":\"Exit\",\"message\":\"$2\",\
\"traceback\":$(tail -n 40 "$room/log" | quoted)$facts}]}"
}

leave() {
    [ -z "$beats" ] || kill "$beats" 2>/dev/null
    [ -z "$body" ] || kill "$body" 2>/dev/null
    [ -z "${worker:-}" ] || send POST departures "{\"worker\":\"$worker\"}"
    rm -rf "$room"
}

trap leave EXIT
trap 'stopping=yes; wait_for=0' TERM INT
names=
define
register
while [ -z "$stopping" ]; do
    send POST claims "{\"worker\":\"$worker\",\"limit\":1,\"wait\":$wait_for,\"leases\":[]}"
    case $status in
        200) ;;
        409) register && continue ;; # it was declared lost
        401 | 403) say "refused: $answer" && exit 1 ;;
        *) say "no answer to claims ($status): again" && sleep 1 && continue ;;
    esac
    case $(member command "$answer") in
        stop) break ;;
    esac
    case $answer in
        *'"runs":[]'*) sleep "$(member retry_in "$answer")" ;;
        *) work "$answer" ;;
    esac
done
