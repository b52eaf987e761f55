#!/usr/bin/env python3
"""Makes a room, says something in it once, and prints what is said there, each message once, also when the connection or the hub breaks.

    LONGREIN_URL=https://hub.example:9433/v1 LONGREIN_TOKEN="$(cat erp.token)" ./room.py yard '{"text": "gate 4 is free"}'

Needs nothing but Python. `--count N` ends after N messages.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ["LONGREIN_URL"]
TOKEN = os.environ["LONGREIN_TOKEN"]


def request(method, place, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    return urllib.request.Request(URL + place, data, headers, method=method)


def ask(method, place, body=None, tries=5, **headers):
    """What is answered; asks again where that is of use, as often as the hub wishes."""
    while True:
        try:
            with urllib.request.urlopen(request(method, place, body, **headers), timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            tries -= 1
            # 429: too often. 503: busy, or not able to store now. Everything else stays as it is.
            if error.code not in (429, 503) or not tries:
                raise SystemExit(f"{problem['type']}: {problem['detail']}")
            time.sleep(int(error.headers.get("Retry-After", "1")))
        except OSError:
            tries -= 1
            if not tries:
                raise
            time.sleep(1)


def events(place):
    """Events of a stream, each once: a stream that broke goes on behind the last one that was taken."""
    last = None
    while True:
        try:
            behind = {"Last_Event_ID": last} if last else {}
            # A comment comes every 15 s; who hears nothing for 40 s has no connection any more.
            with urllib.request.urlopen(request("GET", place, **behind), timeout=40) as stream:
                event = {}
                for line in stream:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name:
                        event[name] = value
                    elif "data" in event:
                        yield event["event"], json.loads(event["data"])
                        last = event.get("id", last)
                        event = {}
                    else:
                        event = {}
        except urllib.error.HTTPError as error:
            if error.code not in (409, 429, 503):
                raise SystemExit(json.load(error)["detail"])
        except OSError:
            pass
        time.sleep(1)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("room")
    options.add_argument("says", help="JSON")
    options.add_argument("--count", type=int, default=0, help="end after so many messages")
    options = options.parse_args()
    ask("PUT", f"/rooms/{options.room}", {"members_max": 50})
    said = ask(
        "POST",
        f"/rooms/{options.room}/topics/talk/messages",
        {"payload": json.loads(options.says)},
        Idempotency_Key=str(uuid.uuid4()),
    )
    print("said at", said["cursor"], file=sys.stderr)
    heard = 0
    for name, data in events(f"/events?topics={options.room}/talk&from=oldest"):
        if name == "topic":
            print(json.dumps({"from": data["from"], "payload": data.get("payload")}), flush=True)
            heard += 1
            if heard == options.count:
                return
        elif name == "gap":
            print("missed:", data["why"], file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
