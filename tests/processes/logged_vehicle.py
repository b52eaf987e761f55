#!/usr/bin/env python3
"""child_vehicle.py, unchanged, which also writes down when it began, each line that it obeyed, and its speed.

usage: logged_vehicle.py CHILD_VEHICLE LOG
"""

import importlib.util
import json
import os
import sys

program, log_file = sys.argv[1:]
spec = importlib.util.spec_from_file_location("child_vehicle", program)
child_vehicle = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(child_vehicle)

log = open(log_file, "a", buffering=1, encoding="utf-8")


def us(seconds):
    return round(seconds * 1e6)


def write(**deed):
    log.write(json.dumps(deed) + "\n")


class LoggedVehicle(child_vehicle.Vehicle):
    def obey(self, word, read_at):
        drive = word.get("drive")
        write(
            event="obey",
            at_us=us(read_at),
            deadline_us=word["deadline_boottime_us"],
            speed_mm_s=drive and drive["speed_mm_s"],
        )
        super().obey(word, read_at)

    def telemetry(self):
        told = super().telemetry()
        write(event="speed", at_us=us(self.at), speed_mm_s=told["telemetry"]["speed_mm_s"])
        return told


write(event="start", at_us=us(child_vehicle.now()), pid=os.getpid())
child_vehicle.Vehicle = LoggedVehicle
child_vehicle.main()
