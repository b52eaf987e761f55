#!/bin/sh
# Makes a room, says something in it once, and prints what was said there, with curl alone.
#
#   LONGREIN_URL=https://hub.example:9433/v1 LONGREIN_TOKEN="$(cat erp.token)" ./room.sh yard '{"text": "gate 4 is free"}'
set -eu
room="$1" said="$2"

# The token goes by standard input: everybody sees a command line.
ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$LONGREIN_TOKEN" |
        curl --config - --silent --show-error --fail-with-body --retry 3 --header 'Content-Type: application/json' "$@"
    echo
}

# Done also when the room is there with these settings.
ask --request PUT "$LONGREIN_URL/rooms/$room" --data '{"members_max": 50}' >&2

# One key for one thing to say: however often curl tries again, it is said once. `--retry` waits as `Retry-After` says.
key="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
ask --request POST "$LONGREIN_URL/rooms/$room/topics/talk/messages" \
    --header "Idempotency-Key: $key" --data "{\"payload\": $said}" >&2

ask --get "$LONGREIN_URL/rooms/$room/topics/talk/messages" --data direction=forwards --data limit=100
