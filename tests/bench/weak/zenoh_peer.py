"""A zenoh router, a vehicle that prints what it gets, or a controller that sends each line."""

import json
import sys
import time

import zenoh

role, endpoint, certificate, key, topic = sys.argv[1:6]
config = zenoh.Config()


def put(path, value):
    config.insert_json5(path, json.dumps(value))


put("mode", "router" if role == "router" else "client")
put("scouting/multicast/enabled", False)
put("transport/link/tls/root_ca_certificate", certificate)
if role == "router":
    put("transport/link/tls/listen_certificate", certificate)
    put("transport/link/tls/listen_private_key", key)
    put("listen/endpoints", [endpoint])
else:
    put("connect/endpoints", [endpoint])

with zenoh.open(config) as session:
    if role == "router":
        while True:
            time.sleep(3600)
    elif role == "vehicle":

        def on_sample(sample):
            sys.stdout.write(sample.payload.to_string() + "\n")
            sys.stdout.flush()

        subscriber = session.declare_subscriber(topic, on_sample)
        while True:
            time.sleep(3600)
    else:
        publisher = session.declare_publisher(
            topic,
            congestion_control=zenoh.CongestionControl.BLOCK,
            priority=zenoh.Priority.REAL_TIME,
            express=True,
            reliability=zenoh.Reliability.RELIABLE,
        )
        for line in sys.stdin:
            publisher.put(line.rstrip("\n"))
