#!/usr/bin/env python3
"""A program of the vehicle that speaks with the hub: prints what comes as lines of JSON, does what letters say, and reports it.

usage: local_hub.py EXAMPLES SOCKET
"""

import json
import sys

examples, path = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, examples)

import longrein_local  # noqa: E402: it is found now

with longrein_local.Local(path) as agent:
    agent.report("battery", {"percent": 80})
    agent.letters()
    print("takes letters", flush=True)
    while True:
        for message in agent.receive(1.0):
            if "desired" in message:
                print(json.dumps(message["desired"]), flush=True)
            if "letter" in message:
                letter = message["letter"]
                print(json.dumps(letter), flush=True)
                if letter["flow"] == "no":
                    agent.declined(letter["letter"], "not-now")
                else:
                    agent.report("done", letter["payload"])
                    agent.applied(letter["letter"])
                    agent.send(letter["from"], "answer", {"to": letter["payload"]}, kept=True)
