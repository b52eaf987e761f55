#!/usr/bin/env python3
"""A vehicle behind the agent's `process` adapter: a complete example of a device that fails safe.

The agent starts this program and writes one JSON object per line to its standard input:

    {"seq":7,"stage":"Nominal","stopped":false,"ttl_ms":98,"deadline_boottime_us":81234567,
     "drive":{"speed_mm_s":1500,"curvature_per_km":-200}}

This program answers each line with {"ack":7} and tells its state 20 times a second with {"telemetry":{...}}. The agent
writes the next line only after the answer to the last one, so no old lines pile up between the two.

What every such program must do (docs/safety.md, SAFE-60 and SAFE-61):
  * obey a line only until its deadline on CLOCK_BOOTTIME, which also counts while either program is stopped or the machine
    sleeps: a line that was read too late is acknowledged and ignored;
  * slow down to a stand after 100 ms without a line, and at end of file, by itself;
  * move only with a command, and stop for "stopped", Ramp and MinimalRisk;
  * never wait for the agent to read: telemetry that does not fit into the pipe is dropped.
"""

import json
import math
import os
import select
import sys
import time

SILENCE_MAX_S = 0.100
TURN_S = 0.010
TELEMETRY_S = 0.050
LINE_BYTES_MAX = 200_000

SPEED_MAX_MM_S = 5_000.0
GAIN_MM_S2 = 2_000.0
LOSS_MM_S2 = 2_500.0
STOP_MM_S2 = 6_000.0


def now():
    """Seconds on the clock of the agent's deadlines."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Vehicle:
    """A point with heading, speed and curvature."""

    def __init__(self):
        self.x = self.y = self.heading = self.speed = self.curvature = 0.0
        self.word = None
        self.until = 0.0
        self.at = now()

    def obey(self, word, read_at):
        """Takes a line that was read just now."""
        self.word = word
        self.until = min(word["deadline_boottime_us"] / 1e6, read_at + SILENCE_MAX_S)

    def wish(self, at):
        """Wanted speed, how fast speed may be lost, wanted curvature."""
        stand = 0.0, LOSS_MM_S2, self.curvature
        if self.word is None:
            return stand
        if self.word["stopped"] or self.word["stage"] == "MinimalRisk":
            return 0.0, STOP_MM_S2, self.curvature
        drive = self.word.get("drive")
        if at >= self.until or drive is None or self.word["stage"] not in ("Nominal", "Hold"):
            return stand
        speed = max(-SPEED_MAX_MM_S, min(SPEED_MAX_MM_S, float(drive["speed_mm_s"])))
        if self.word["stage"] == "Hold":
            if speed * self.speed <= 0:
                speed = 0.0
            elif abs(speed) > abs(self.speed):
                speed = self.speed
        return speed, LOSS_MM_S2, float(drive["curvature_per_km"])

    def advance(self, to):
        """Lets the time pass, in small steps: after a pause (SIGSTOP) all that should have happened in it happens."""
        while self.at < to:
            speed, loss, curvature = self.wish(self.at)
            if self.speed == 0.0 and speed == 0.0 and self.at >= self.until:
                self.at = to
                return
            step = min(TURN_S, to - self.at)
            gains = abs(speed) > abs(self.speed) and speed * self.speed >= 0
            change = (GAIN_MM_S2 if gains else loss) * step
            self.speed += max(-change, min(change, speed - self.speed))
            self.curvature = curvature
            way = self.speed * step
            turn = way * self.curvature / 1e6
            self.x += way * math.cos(self.heading + turn / 2)
            self.y += way * math.sin(self.heading + turn / 2)
            self.heading = (self.heading + turn + math.pi) % (2 * math.pi) - math.pi
            self.at += step

    def telemetry(self):
        return {
            "telemetry": {
                "x_mm": round(self.x),
                "y_mm": round(self.y),
                "heading_mrad": round(self.heading * 1000),
                "speed_mm_s": round(self.speed),
            }
        }


class Output:
    """Standard output that never waits."""

    def __init__(self):
        os.set_blocking(1, False)
        self.ack = None

    def acknowledge(self, seq):
        """Answers a line; kept until it fits, since the agent waits for it."""
        self.ack = seq
        self.flush()

    def flush(self):
        if self.ack is not None and self.write({"ack": self.ack}):
            self.ack = None

    def write(self, value):
        """Writes one line, unless the pipe is full. A short line goes into a pipe whole or not at all."""
        try:
            os.write(1, (json.dumps(value, separators=(",", ":")) + "\n").encode())
            return True
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True  # The agent is gone; end of file follows on standard input.


class Input:
    """Lines of standard input, without waiting."""

    def __init__(self):
        os.set_blocking(0, False)
        self.rest = b""
        self.ended = False

    def lines(self, wait_s):
        """What has arrived; waits at most so long for the first of it."""
        if self.ended:
            time.sleep(wait_s)
            return []
        ready, _, _ = select.select([0], [], [], wait_s)
        if not ready:
            return []
        try:
            read = os.read(0, 65_536)
        except BlockingIOError:
            return []
        if not read:
            self.ended = True
            return []
        *lines, self.rest = (self.rest + read).split(b"\n")
        if len(self.rest) > LINE_BYTES_MAX:
            self.rest = b""
        return lines


def main():
    vehicle, output, source = Vehicle(), Output(), Input()
    telemetry_at = now()
    # After end of file the vehicle still has to come to a stand.
    while not source.ended or vehicle.speed != 0.0:
        lines = source.lines(TURN_S)
        at = now()
        vehicle.advance(at)
        for line in lines:
            try:
                word = json.loads(line)
                seq, deadline = word["seq"], word["deadline_boottime_us"]
                _ = word["stage"], word["stopped"]
            except (ValueError, KeyError, TypeError):
                print("child_vehicle: a line cannot be read", file=sys.stderr)
                continue
            if deadline / 1e6 > at:
                vehicle.obey(word, at)
            output.acknowledge(seq)
        output.flush()
        if at >= telemetry_at:
            telemetry_at = max(telemetry_at + TELEMETRY_S, at)
            output.write(vehicle.telemetry())
    output.write(vehicle.telemetry())


if __name__ == "__main__":
    main()
