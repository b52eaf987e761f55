#!/usr/bin/env python3
"""local_vehicle.py, unchanged, which also writes down when it began, each word that it obeyed, and its speed.

usage: logged_local_vehicle.py EXAMPLES LOG SOCKET
"""

import json
import os
import sys

examples, log_file, path = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, examples)

import local_vehicle  # noqa: E402: it is found now
import longrein_local  # noqa: E402

log = open(log_file, "a", buffering=1, encoding="utf-8")


def us(seconds):
    return round(seconds * 1e6)


def write(**deed):
    log.write(json.dumps(deed) + "\n")


class LoggedFailSafe(longrein_local.FailSafe):
    def obey(self, word):
        before = self.word
        super().obey(word)
        if self.word is not before:
            drive = word.get("drive")
            write(
                event="obey",
                at_us=us(word["read_at"]),
                deadline_us=word["deadline_boottime_us"],
                speed_mm_s=drive and drive["speed_mm_s"],
            )


class LoggedVehicle(local_vehicle.Vehicle):
    def advance(self, to):
        super().advance(to)
        write(event="speed", at_us=us(self.at), speed_mm_s=round(self.speed))


write(event="start", at_us=us(longrein_local.now()), pid=os.getpid())
local_vehicle.FailSafe = LoggedFailSafe
local_vehicle.Vehicle = LoggedVehicle
sys.argv = ["local_vehicle.py", path]
local_vehicle.main()
