#!/usr/bin/env python3
"""A vehicle at the agent's local socket: a complete example of a device that fails safe, made with longrein_local.py.

usage: local_vehicle.py [SOCKET [FUNCTION]]      by default /run/longrein/agent/device.sock and drive

It is the device of a function whose adapter is { kind = "local" }, and tells its state 20 times a second. SIGUSR1 is somebody who stands
ahead: it asks for MinimalRisk, after which the operator has to resume. SIGUSR2 is the bumper: it latches the emergency stop, after which
somebody has to reset it. When the agent goes, the vehicle slows down to a stand by itself and connects again.
"""

import math
import signal
import sys
import time

from longrein_local import DEVICE, Closed, FailSafe, Local, Refused, now

TURN_S = 0.010
TELEMETRY_S = 0.050
RETRY_S = 0.2

SPEED_MAX_MM_S = 5_000.0
GAIN_MM_S2 = 2_000.0
LOSS_MM_S2 = 2_500.0
STOP_MM_S2 = 6_000.0


class Vehicle:
    """A point with heading, speed and curvature."""

    def __init__(self):
        self.x = self.y = self.heading = self.speed = self.curvature = 0.0
        self.safe = FailSafe()
        self.at = now()

    def wish(self):
        """Wanted speed, and how fast speed may be lost."""
        drive = self.safe.drive(self.at)
        if drive is None:
            return 0.0, STOP_MM_S2 if self.safe.must_stop() else LOSS_MM_S2
        self.curvature = float(drive["curvature_per_km"])
        speed = max(-SPEED_MAX_MM_S, min(SPEED_MAX_MM_S, float(drive["speed_mm_s"])))
        if self.safe.is_hold():
            speed = 0.0 if speed * self.speed <= 0 else math.copysign(min(abs(speed), abs(self.speed)), speed)
        return speed, LOSS_MM_S2

    def advance(self, to):
        """Lets the time pass, in small steps: after a pause (SIGSTOP) all that should have happened in it happens."""
        while self.at < to:
            speed, loss = self.wish()
            if self.speed == 0.0 and speed == 0.0 and not self.safe.holds(self.at):
                self.at = to
                return
            step = min(TURN_S, to - self.at)
            gains = abs(speed) > abs(self.speed) and speed * self.speed >= 0
            change = (GAIN_MM_S2 if gains else loss) * step
            self.speed += max(-change, min(change, speed - self.speed))
            way = self.speed * step
            turn = way * self.curvature / 1e6
            self.x += way * math.cos(self.heading + turn / 2)
            self.y += way * math.sin(self.heading + turn / 2)
            self.heading = (self.heading + turn + math.pi) % (2 * math.pi) - math.pi
            self.at += step

    def state(self):
        return {
            "x_mm": round(self.x),
            "y_mm": round(self.y),
            "heading_mrad": round(self.heading * 1000),
            "speed_mm_s": round(self.speed),
        }


class Senses:
    """What the vehicle notices by itself; here signals play the sensors."""

    def __init__(self):
        self.ahead = self.bumper = False
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "ahead", True))
        signal.signal(signal.SIGUSR2, lambda *_: setattr(self, "bumper", True))

    def tell(self, agent, function):
        # What is told is forgotten only when the agent has said that it is in effect.
        if self.bumper:
            agent.stop("bumper")
            self.bumper = False
        if self.ahead:
            agent.minimal_risk(function, "somebody ahead")
            self.ahead = False


def serve(agent, function, vehicle, senses):
    agent.claim(function)
    print(f"is the device of {function}", flush=True)
    telemetry_at = now()
    while True:
        messages = agent.receive(TURN_S)
        at = now()
        vehicle.advance(at)
        for message in messages:
            if message.get("function") == function and "seq" in message:
                vehicle.safe.obey(message)
        senses.tell(agent, function)
        if at >= telemetry_at:
            telemetry_at = max(telemetry_at + TELEMETRY_S, at)
            agent.telemetry(function, **vehicle.state())


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else DEVICE
    function = sys.argv[2] if len(sys.argv) > 2 else "drive"
    vehicle, senses = Vehicle(), Senses()
    said = None
    while True:
        try:
            with Local(path) as agent:
                said = None
                serve(agent, function, vehicle, senses)
        except (Closed, Refused, OSError) as error:
            if str(error) != said:
                said = str(error)
                print(f"local_vehicle: {said}", file=sys.stderr, flush=True)
        # Without the agent the vehicle still has to come to a stand.
        again_at = now() + RETRY_S
        while now() < again_at:
            time.sleep(TURN_S)
            vehicle.advance(now())


if __name__ == "__main__":
    main()
