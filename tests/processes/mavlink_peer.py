#!/usr/bin/env python3
"""One end of a MAVLink connection over UDP, made with pymavlink; it records every message byte for byte.

usage: mavlink_peer.py ground HOST:PORT SUMMARY
           sends MANUAL_CONTROL at 50 Hz and HEARTBEAT at 1 Hz for 8 s
       mavlink_peer.py autopilot SUMMARY
           answers the first message with ATTITUDE at 50 Hz and HEARTBEAT at 1 Hz for 8 s
       mavlink_peer.py vehicle SUMMARY
           the same until its standard input ends, and answers requests for parameters
       mavlink_peer.py pilot HOST:PORT SUMMARY
           resumes with empty datagrams, changes to mode 15, and sends MANUAL_CONTROL at 50 Hz, until its standard input ends
       mavlink_peer.py rover SUMMARY
           an autopilot that is in the mode that it was told last, but misses the agent's first two commands each time, and tells in a line of JSON
           which mode it is in, by whose commands, and which channels and sticks have changed; until its standard input ends

ground and autopilot end when they have sent everything and heard nothing for 2 s. SUMMARY gets one JSON object.
Standard output tells the address and each 10th message.
"""

import json
import os
import select
import sys
import time

os.environ["MAVLINK20"] = "1"

from pymavlink import mavutil  # noqa: E402: the version has to be chosen before

mavlink = mavutil.mavlink

SECONDS = 8
RATE_HZ = 50
SILENCE_S = 2.0
GUIDED = 15
AGENT = [255, 191]
PARAMETERS = {"SYSID_THISMAV": 1.0, "WP_RADIUS": 2.5, "CRUISE_SPEED": 1.5, "FS_THR_ENABLE": 1.0}


def say(text):
    print(text, flush=True)


class Peer:
    """A connection whose messages are recorded."""

    def __init__(self, device, system, component):
        self.link = mavutil.mavlink_connection(device, source_system=system, source_component=component)
        self.sent, self.received, self.types = [], [], []
        self.heard_at = None
        self.send_bytes = self.link.write
        self.link.write = self.write

    def write(self, message):
        self.sent.append(bytes(message).hex())
        self.send_bytes(message)
        if len(self.sent) % 10 == 0:
            say(f"sent {len(self.sent)}")

    def listen(self, wait_s):
        """The messages that arrive; waits at most so long for the first of them."""
        select.select([self.link.port.fileno()], [], [], wait_s)
        messages = []
        while (message := self.link.recv_msg()) is not None:
            self.heard_at = time.monotonic()
            self.received.append(bytes(message.get_msgbuf()).hex())
            self.types.append([message.get_type(), message.get_srcSystem(), message.get_seq()])
            messages.append(message)
            if len(self.received) % 10 == 0:
                say(f"received {len(self.received)}")
        return messages


class Pace:
    """What is due since the beginning, at a rate; what is late is made up for."""

    def __init__(self, rate_hz):
        self.period_s, self.count, self.began_at = 1.0 / rate_hz, 0, None

    def due_at(self):
        self.began_at = self.began_at or time.monotonic()
        return self.began_at + self.count * self.period_s

    def due(self):
        if time.monotonic() < self.due_at():
            return False
        self.count += 1
        return True


def manual_control(mav, number):
    swing = number % 2000 - 1000
    mav.manual_control_send(1, swing, -swing, 500, number % 7, number % 65536)


def attitude(mav, number):
    mav.attitude_send(number * 20, number / 100.0, -number / 200.0, number / 300.0, 0.1, 0.2, number / 7.0)


def heartbeat_of_ground(mav):
    mav.heartbeat_send(mavlink.MAV_TYPE_GCS, mavlink.MAV_AUTOPILOT_INVALID, 0, 0, mavlink.MAV_STATE_ACTIVE)


def heartbeat_of_vehicle(mav):
    mode = mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
    mav.heartbeat_send(
        mavlink.MAV_TYPE_GROUND_ROVER, mavlink.MAV_AUTOPILOT_ARDUPILOTMEGA, mode, 0, mavlink.MAV_STATE_ACTIVE
    )


def tell_parameters(mav, names):
    for name in names:
        index = list(PARAMETERS).index(name)
        kind = mavlink.MAV_PARAM_TYPE_REAL32
        mav.param_value_send(name.encode(), PARAMETERS[name], kind, len(PARAMETERS), index)


def answer(mav, message):
    if message.get_type() == "PARAM_REQUEST_LIST":
        tell_parameters(mav, PARAMETERS)
    elif message.get_type() == "PARAM_REQUEST_READ":
        name = message.param_id if message.param_index < 0 else list(PARAMETERS)[message.param_index]
        tell_parameters(mav, [name] if name in PARAMETERS else [])


def talk(peer, stream, heartbeat, quota_s):
    """Sends until the quota of seconds is full, or standard input ends."""
    fast, slow = Pace(RATE_HZ), Pace(1)
    is_quiet = False
    while not is_quiet:
        full = quota_s is not None and slow.count >= quota_s and fast.count >= quota_s * RATE_HZ
        if full:
            is_quiet = time.monotonic() - max(peer.heard_at or 0, fast.due_at()) > SILENCE_S
            wait_s = 0.1
        else:
            if (quota_s is None or slow.count < quota_s) and slow.due():
                heartbeat(peer.link.mav)
            if (quota_s is None or fast.count < quota_s * RATE_HZ) and fast.due():
                stream(peer.link.mav, fast.count)
            wait_s = max(0.0, min(fast.due_at() - time.monotonic(), 0.02))
        for message in peer.listen(wait_s):
            if quota_s is None:
                answer(peer.link.mav, message)
        if quota_s is None and select.select([sys.stdin], [], [], 0)[0] and not sys.stdin.read(1):
            return


def pilot(where):
    link = mavutil.mavlink_connection(f"udpout:{where}", source_system=255, source_component=190)
    sticks, slow = Pace(RATE_HZ), Pace(2)
    while not is_over():
        if slow.due():
            link.port.sendto(b"", link.destination_addr)
            command = mavlink.MAV_CMD_DO_SET_MODE
            link.mav.command_long_send(1, 1, command, 0, 1, GUIDED, 0, 0, 0, 0, 0)
        if sticks.due():
            manual_control(link.mav, 700)
        select.select([sys.stdin], [], [], max(0.0, sticks.due_at() - time.monotonic()))


class Rover:
    """What the autopilot is in, and what it told last of itself."""

    def __init__(self):
        self.mode, self.told = 0, {}

    def tell(self, **fact):
        for key, value in fact.items():
            if self.told.get(key) != value:
                self.told[key] = value
                say(json.dumps({key: value}))

    def on_message(self, mav, message):
        kind, by = message.get_type(), [message.get_srcSystem(), message.get_srcComponent()]
        if kind == "COMMAND_LONG" and message.command == mavlink.MAV_CMD_DO_SET_MODE:
            if by == AGENT and message.confirmation < 2:
                return
            self.mode = int(message.param2)
            mav.command_ack_send(message.command, mavlink.MAV_RESULT_ACCEPTED)
            self.tell(mode=[self.mode, *by])
        elif kind == "RC_CHANNELS_OVERRIDE":
            self.tell(channels=[message.chan1_raw, message.chan2_raw, message.chan3_raw, *by])
        elif kind == "MANUAL_CONTROL":
            self.tell(sticks=[message.x, message.y, message.z, message.r, *by])


def rover(peer):
    state, beat = Rover(), Pace(10)
    while not is_over():
        if peer.heard_at is not None and beat.due():
            flag = mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
            kind, make = mavlink.MAV_TYPE_GROUND_ROVER, mavlink.MAV_AUTOPILOT_ARDUPILOTMEGA
            peer.link.mav.heartbeat_send(kind, make, flag, state.mode, mavlink.MAV_STATE_ACTIVE)
        for message in peer.listen(0.02):
            state.on_message(peer.link.mav, message)


def is_over():
    return bool(select.select([sys.stdin], [], [], 0)[0]) and not sys.stdin.read(1)


def main():
    role, *where, summary = sys.argv[1:]
    if role == "ground":
        peer = Peer(f"udpout:{where[0]}", 255, 190)
        talk(peer, manual_control, heartbeat_of_ground, SECONDS)
    elif role == "pilot":
        return pilot(where[0])
    elif role == "rover":
        peer = Peer("udpin:127.0.0.1:0", 1, 1)
        say("listens on {}:{}".format(*peer.link.port.getsockname()))
        return rover(peer)
    else:
        peer = Peer("udpin:127.0.0.1:0", 1, 1)
        say("listens on {}:{}".format(*peer.link.port.getsockname()))
        while peer.heard_at is None:
            for message in peer.listen(1.0):
                answer(peer.link.mav, message)
        talk(peer, attitude, heartbeat_of_vehicle, SECONDS if role == "autopilot" else None)
    with open(summary, "w", encoding="utf-8") as file:
        json.dump({"sent": peer.sent, "received": peer.received, "types": peer.types}, file)


if __name__ == "__main__":
    main()
