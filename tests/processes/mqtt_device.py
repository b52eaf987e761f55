"""Legacy devices: real clients of MQTT (paho) that know nothing of longrein.

    mqtt_device.py PORT VERSION COUNT SEND_HZ QOS

COUNT devices named device-0, device-1, .. on one connection each, with a will, subscribe to devices/NAME/cmd, say that they are
there, and from the first line of their standard input until its end send numbered states at SEND_HZ in all. Prints one JSON object
a line: what each received and, at the end of the input, what was sent.
"""

import json
import os
import selectors
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# A device that is away for longer than the bridge remembers sends again what it has no answer for, and then that is new.
KEEP_ALIVE_S, RECONNECT_S, FAREWELL_S = 5, 0.1, 20.0


def tell(**fact):
    print(json.dumps(fact), flush=True)


class Device:
    """One client, served by the loop of all."""

    def __init__(self, name, port, is_v5, selector):
        self.name, self.port, self.is_v5, self.selector = name, port, is_v5, selector
        self.dial_at = 0.0
        options = dict(protocol=mqtt.MQTTv5) if is_v5 else dict(protocol=mqtt.MQTTv311, clean_session=False)
        self.client = client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, **options)
        client.max_queued_messages_set(0)
        client.max_inflight_messages_set(100)
        client.will_set(f"devices/{name}/online", "offline", qos=1, retain=True)
        client.on_connect, client.on_message = self.on_connect, self.on_message
        client.on_socket_open = lambda _client, _data, socket: selector.register(socket, selectors.EVENT_READ, self)
        client.on_socket_close = lambda _client, _data, socket: selector.unregister(socket)

    def on_connect(self, client, _data, _flags, _reason, _properties):
        client.subscribe(f"devices/{self.name}/cmd", qos=2)
        client.publish(f"devices/{self.name}/online", "online", qos=1, retain=True)

    def on_message(self, _client, _data, message):
        has = self.is_v5 and message.properties
        properties = dict(getattr(message.properties, "UserProperty", [])) if has else {}
        tell(device=self.name, got=message.payload.decode(), qos=message.qos, retained=message.retain,
             at_ms=int(time.time() * 1000), deadline_ms=int(properties.get("deadline-unix-ms", 0)),
             expiry_s=getattr(message.properties, "MessageExpiryInterval", None) if has else None)

    def dial(self):
        self.dial_at = time.monotonic() + RECONNECT_S
        properties = None
        if self.is_v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600
        options = dict(clean_start=False, properties=properties) if self.is_v5 else {}
        try:
            self.client.connect("127.0.0.1", self.port, keepalive=KEEP_ALIVE_S, **options)
        except OSError:
            pass

    def write(self):
        while self.client.want_write() and self.client.loop_write() == mqtt.MQTT_ERR_SUCCESS:
            pass

    def look_after(self):
        """What is due: a new connection, a sign of life."""
        if self.client.socket() is None:
            if time.monotonic() >= self.dial_at:
                self.dial()
        else:
            self.client.loop_misc()
        self.write()

    def is_done(self):
        return not self.client.want_write() and not self.client._out_messages


class Devices:
    def __init__(self, port, is_v5, count, send_hz, qos):
        self.send_hz, self.qos, self.sent = send_hz, qos, 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.begun_at, self.is_ended = None, False
        self.all = [Device(f"device-{number}", port, is_v5, self.selector) for number in range(count)]
        self.looked_at = 0.0

    def turn(self):
        now = time.monotonic()
        if now >= self.looked_at + 0.1:
            self.looked_at = now
            for device in self.all:
                device.look_after()
        for key, _ in self.selector.select(min(0.05, max(0.0, self.next_at() - now))):
            if key.data is None:
                self.read_input()
            else:
                key.data.client.loop_read()
                key.data.write()
        while time.monotonic() >= self.next_at():
            device = self.all[self.sent % len(self.all)]
            device.client.publish(f"devices/{device.name}/state", f"state {self.sent}", qos=self.qos)
            device.write()
            self.sent += 1

    def next_at(self):
        if self.begun_at is None or self.is_ended or self.send_hz <= 0:
            return float("inf")
        return self.begun_at + self.sent / self.send_hz

    def read_input(self):
        if not os.read(sys.stdin.fileno(), 4096):
            self.is_ended = True
            self.selector.unregister(sys.stdin)
        elif self.begun_at is None:
            self.begun_at = time.monotonic()

    def finish(self):
        """Until the broker has it all, or does not take it."""
        end = time.monotonic() + FAREWELL_S
        while time.monotonic() < end and not all(device.is_done() for device in self.all):
            self.turn()

    def run(self):
        while not self.is_ended:
            self.turn()
        self.finish()
        tell(sent=self.sent)
        for device in self.all:
            device.client.publish(f"devices/{device.name}/online", "offline", qos=1, retain=True)
        self.finish()
        for device in self.all:
            device.client.disconnect()
            device.write()


Devices(int(sys.argv[1]), sys.argv[2] == "5", int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])).run()
