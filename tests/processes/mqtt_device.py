"""Legacy devices: real clients of MQTT (paho) that know nothing of longrein.

    mqtt_device.py PORT VERSION COUNT SEND_HZ QOS

COUNT devices named device-0, device-1, .. on one connection each, with a will, subscribe to devices/NAME/cmd, say that they are
there, and from the first line of their standard input until its end send numbered states at SEND_HZ in all. Prints one JSON object
a line: what each received and, at the end of the input, what was sent.
"""

import json
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, version, count, send_hz, qos = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
lock = threading.Lock()


def tell(**fact):
    with lock:
        print(json.dumps(fact), flush=True)


def device(name):
    v5 = version == "5"
    options = dict(protocol=mqtt.MQTTv5) if v5 else dict(protocol=mqtt.MQTTv311, clean_session=False)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, **options)
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(100)
    client.reconnect_delay_set(min_delay=1, max_delay=1)
    client.will_set(f"devices/{name}/online", "offline", qos=1, retain=True)

    def on_connect(client, _data, _flags, _reason, _properties):
        client.subscribe(f"devices/{name}/cmd", qos=2)
        client.publish(f"devices/{name}/online", "online", qos=1, retain=True)

    def on_message(_client, _data, message):
        properties = dict(getattr(message.properties, "UserProperty", [])) if v5 and message.properties else {}
        tell(device=name, got=message.payload.decode(), qos=message.qos, retained=message.retain,
             at_ms=int(time.time() * 1000), deadline_ms=int(properties.get("deadline-unix-ms", 0)),
             expiry_s=getattr(message.properties, "MessageExpiryInterval", None) if v5 else None)

    client.on_connect, client.on_message = on_connect, on_message
    if v5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", port, keepalive=5, clean_start=False, properties=properties)
    else:
        client.connect("127.0.0.1", port, keepalive=5)
    client.loop_start()
    return client


clients = [(f"device-{number}", device(f"device-{number}")) for number in range(count)]
begun, ended = threading.Event(), threading.Event()


def wait_for_end():
    sys.stdin.readline()
    begun.set()
    sys.stdin.read()
    ended.set()


threading.Thread(target=wait_for_end, daemon=True).start()
sent = 0
begun.wait()
begun_at = time.monotonic()
while not ended.is_set():
    if send_hz <= 0:
        ended.wait(0.05)
        continue
    name, client = clients[sent % count]
    client.publish(f"devices/{name}/state", f"state {sent}", qos=qos)
    sent += 1
    ended.wait(max(0.0, begun_at + sent / send_hz - time.monotonic()))
for _, client in clients:
    deadline = time.monotonic() + 20
    while client.want_write() or len(client._out_messages) > 0:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
tell(sent=sent)
for name, client in clients:
    client.publish(f"devices/{name}/online", "offline", qos=1, retain=True).wait_for_publish(5)
    client.disconnect()
