#!/usr/bin/env python3
"""An observer of the local API: prints every state as one line of JSON.

usage: local_observer.py EXAMPLES SOCKET
"""

import json
import sys

examples, path = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, examples)

import longrein_local  # noqa: E402: it is found now

with longrein_local.Local(path) as agent:
    try:
        agent.stop("an observer may not")
        sys.exit("an observer stopped the vehicle")
    except longrein_local.Refused as refused:
        print(json.dumps({"refused": refused.word}), flush=True)
    while True:
        for message in agent.receive(1.0):
            if "state" in message:
                print(json.dumps(message["state"]), flush=True)
