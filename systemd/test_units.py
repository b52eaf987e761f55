#!/usr/bin/env python3
"""Runs the units under a real systemd: within the container that `./dev system` boots, as root.

A relay, an agent with the simulated vehicle and a controller that drives it meet over loopback. They are installed as
docs/install-relay.md and docs/install-agent.md say. Every line on stdout is one check.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

PROGRAMS = pathlib.Path("/programs")
SOURCE = pathlib.Path("/source/systemd")
CONFIG = pathlib.Path("/etc/longrein")
UNITS = pathlib.Path("/etc/systemd/system")
RELAY, AGENT = "longrein-relay.service", "longrein-agent.service"
# What comes at once on an idle machine; only a failure waits so long.
PATIENCE_S = 40
# Of the watchdogs in this test; the units have more.
WATCHDOG_S = 3
CAP_SYS_RESOURCE = 24

AGENT_CONFIG = """
[[relay]]
name = "east"
address = "127.0.0.1:4433"
{west}
[log]
level = "{level}"

[[function]]
name = "drive"
adapter = {{ kind = "sim" }}
{function}
[[local]]
level = "device"

[[allow]]
who = ["controller/alice"]
may = ["command", "stop", "reset"]
"""
# One that answers, and one that does not: the log says so again and again, on level debug.
WEST = """
[[relay]]
name = "west"
address = "127.0.0.1:4434"
[[relay]]
name = "nobody"
address = "127.0.0.1:9"
"""
ARM = '[[function]]\nname = "arm"\nadapter = { kind = "sim" }\n'


class Checks:
    """Tells each check as it is made."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def that(self, what, holds, found=""):
        if holds:
            self.passed += 1
            print(f"ok      {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {what}: {found}", flush=True)

    def equal(self, what, found, wanted):
        self.that(what, found == wanted, f"{found!r}, not {wanted!r}")


class Missing(Exception):
    """What was waited for and did not come."""


def run(*command, stdin=None, may_fail=False):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode and not may_fail:
        raise Missing(f"{' '.join(command)}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done


def until(what, look):
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise Missing(f"never: {what}")


def show(unit, key):
    return run("systemctl", "show", "--value", "-p", key, unit).stdout.strip()


def journal(unit, message=None):
    """The records of a unit's program itself, oldest first; systemd's own about it are left out."""
    lines = run("journalctl", "-b", "-o", "json", f"_SYSTEMD_UNIT={unit}").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    return [r for r in records if message is None or r.get("MESSAGE") == message]


class Driver:
    """`longrein drive`: motion, with an explicit resume each fifth of a second."""

    def __init__(self, folder):
        lines = []
        for at in range(0, 300_000, 200):
            lines.append({"at_ms": at, "dead_man": True, "resume": True})
            lines.append({"at_ms": at + 100, "speed_mm_s": 500, "dead_man": True})
        script = pathlib.Path("/run/script.jsonl")
        script.write_text("\n".join(map(json.dumps, lines)))
        command = ["longrein", "drive", "truck-17", "--json", "--input", str(script)]
        command += ["--identity", str(folder), "--relay", "east=127.0.0.1:4433"]
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.events = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.program.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "said", "line": line.strip()}
            self.events.append(event | {"heard_at": time.monotonic()})

    def stages(self, begin=0):
        status = [e for e in list(self.events)[begin:] if e.get("event") == "status"]
        return [(f["stage"], f["holder"], f["token"]) for e in status for f in e["functions"] if f["name"] == "drive"]

    def in_control(self, begin=0, above=0):
        """The token under which alice drives, as the vehicle says."""
        for stage, holder, token in self.stages(begin):
            if stage == "Nominal" and holder == "controller/alice" and token > above:
                return token
        return None

    def await_control(self, above=0):
        begin = len(self.events)
        try:
            return until("back in control", lambda: self.in_control(begin, above))
        except Missing as missing:
            others = [e for e in self.events[begin:] if e.get("event") not in ("status", "telemetry")]
            raise Missing(f"{missing}; stages {self.stages(begin)[-3:]}, events {others[-5:]}") from None

    def controlled_at(self, begin, above):
        """When the vehicle's first word on that arrived."""
        for event in list(self.events)[begin:]:
            functions = event["functions"] if event.get("event") == "status" else []
            if any((f["name"], f["stage"], f["holder"]) == ("drive", "Nominal", "controller/alice") and f["token"] > above
                   for f in functions):
                return event["heard_at"]
        return None

    def end(self):
        self.program.kill()
        self.program.wait()


def install():
    """As the documents say, and a shorter watchdog."""
    for program in ("longrein", "longrein-agent", "longrein-relay"):
        run("install", str(PROGRAMS / program), "/usr/bin/")
    run("install", "-d", str(CONFIG))
    for name in ("agent", "relay"):
        run("install", "-m", "644", str(SOURCE / f"longrein-{name}.service"), str(UNITS))
        sysusers = f"/usr/lib/sysusers.d/longrein-{name}.conf"
        run("install", "-m", "644", str(SOURCE / f"longrein-{name}.sysusers"), sysusers)
        shorter = UNITS / f"longrein-{name}.service.d"
        shorter.mkdir()
        (shorter / "test.conf").write_text(f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
    run("systemd-sysusers")
    run("systemctl", "daemon-reload")


def enrol(yard):
    """A fleet, its relays, its authority behind the first of them, and the agent with a token."""
    run("longrein", "fleet", "init", str(yard), "--name", "yard", "--relay", "east", "--relay", "west",
        "--controller", "alice")
    run("cp", "-r", str(yard / "relay-east"), str(CONFIG / "relay"))
    (CONFIG / "relay.toml").write_text('[[listen]]\nname = "main"\naddress = "127.0.0.1:4433"\n')
    run("systemctl", "start", RELAY)
    run("systemd-run", "-q", "--unit=west", "longrein-relay", "--identity", str(yard / "relay-west"),
        "--listen", "127.0.0.1:4434")
    run("systemd-run", "-q", "--unit=authority", "longrein", "authority", "serve", "--dir", str(yard),
        "--relay", "east=127.0.0.1:4433")
    token = run("longrein", "fleet", "token", "--dir", str(yard), "--role", "agent", "--name", "truck-17",
                "--ttl", "1h").stdout
    run("longrein-agent", "--identity", str(CONFIG / "agent"), "enroll", "--relay", "127.0.0.1", "-", stdin=token)


def configure(level="info", west="", function=""):
    (CONFIG / "agent.toml").write_text(AGENT_CONFIG.format(level=level, west=west, function=function))


def check_units(checks):
    for unit in (RELAY, AGENT):
        done = run("systemd-analyze", "verify", str(UNITS / unit), may_fail=True)
        checks.that(f"{unit} is a unit", done.returncode == 0, done.stderr)
        done = run("systemd-analyze", "security", "--no-pager", "--threshold=15", unit, may_fail=True)
        score = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
        checks.that(f"{unit}: {score.lstrip('→ ')}", done.returncode == 0, score)


def check_ready(checks, unit, user):
    checks.equal(f"{unit} is active once it says that it is ready", show(unit, "ActiveState"), "active")
    until("a status", lambda: show(unit, "StatusText"))
    pid = show(unit, "MainPID")
    facts = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                 if ":\t" in line)
    checks.that(f"{unit} does not run as root", facts["Uid"].split()[1] != "0", facts["Uid"])
    checks.equal(f"{unit} runs as {user}", run("stat", "-c", "%U", f"/proc/{pid}").stdout.strip(), user)
    checks.equal(f"{unit} has no capabilities", (int(facts["CapEff"], 16), int(facts["CapBnd"], 16)), (0, 0))
    checks.equal(f"{unit} can get no privileges", facts["NoNewPrivs"], "1")
    checks.equal(f"{unit} has its system calls filtered", facts["Seccomp"], "2")
    inside = ["nsenter", f"--mount=/proc/{pid}/ns/mnt"]
    for path in ("/etc/longrein/x", "/usr/x", "/var/lib/x"):
        done = run(*inside, "touch", path, may_fail=True)
        checks.that(f"{unit} cannot write {path}", "Read-only" in done.stderr, done.stderr or "it was written")
    devices = run(*inside, "ls", "/dev").stdout.split()
    checks.that(f"{unit} sees no devices of the machine", "kmsg" not in devices, devices)
    owner = run("stat", "-c", "%U %a", f"/proc/{pid}/root/var/lib/longrein/{user.split('-')[1]}").stdout.strip()
    checks.equal(f"{unit} has its state to itself", owner, f"{user} 700")


def check_local(checks):
    path = "/run/longrein/agent/device.sock"
    owner = run("stat", "-c", "%U %G %a %F", path).stdout.strip()
    checks.equal("the local socket is for the agent's group", owner, "longrein-agent longrein-agent 660 socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(PATIENCE_S)
        client.connect(path)
        hello = json.loads(client.recv(140_000))["hello"]
    checks.equal("who may open it is heard", (hello["vehicle"], hello["level"]), ("truck-17", "device"))
    script = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect({path!r})"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = run(*nobody, sys.executable, "-c", script, may_fail=True)
    checks.that("who may not is not", "PermissionError" in done.stderr, done.stderr or "it was heard")


def check_priority(checks):
    facts = pathlib.Path("/proc/1/status").read_text()
    if not int(facts.split("CapEff:", 1)[1].split()[0], 16) >> CAP_SYS_RESOURCE & 1:
        print("skipped the priority of threads: systemd may not raise it on this machine", flush=True)
        return
    for unit, thread, what, nice in (
        (AGENT, "control", "the control thread runs before others", "-15"),
        (RELAY, "longrein-relay", "the thread that forwards runs before others", "-10"),
    ):
        tasks = pathlib.Path(f"/proc/{show(unit, 'MainPID')}/task").iterdir()
        found = [task for task in tasks if (task / "comm").read_text().strip() == thread]
        nices = [(task / "stat").read_text().rsplit(")", 1)[1].split()[16] for task in found]
        checks.equal(what, nices, [nice])


def check_journal(checks):
    ready = journal(AGENT, "agent ready")[-1]
    wanted = {"LONGREIN_VEHICLE": "truck-17", "LONGREIN_FLEET": "yard", "LONGREIN_FUNCTIONS": "drive",
              "PRIORITY": "6", "SYSLOG_IDENTIFIER": "longrein-agent", "_SYSTEMD_UNIT": AGENT}
    checks.equal("the journal has every fact in a field", {key: ready.get(key) for key in wanted}, wanted)
    stage = journal(AGENT, "stage is entered")[-1]
    checks.equal("numbers are fields too", (stage.get("LONGREIN_FUNCTION"), stage["LONGREIN_AT_US"].isdigit()),
                 ("drive", True))
    records = journal(AGENT) + journal(RELAY)
    silent = [r for r in records if not r.get("MESSAGE")]
    checks.equal(f"each of {len(records)} records says something", silent, [])
    odd = {r["PRIORITY"] for r in records} - {"3", "4", "6", "7"}
    checks.equal("info is info, and debug is debug", odd, set())


def paths(relay):
    """How often a path to a relay came up and went down, since the agent's last start."""
    pid = show(AGENT, "MainPID")
    records = [r for r in journal(AGENT) if r.get("_PID") == pid and r.get("LONGREIN_NODE") == f"relay/{relay}"]
    count = lambda message: sum(r["MESSAGE"] == message for r in records)
    return count("path is up"), count("path is down")


def check_reload(checks, driver):
    begin, pid = len(driver.events), show(AGENT, "MainPID")
    configure("debug", WEST, ARM)
    run("systemctl", "reload", AGENT)
    until("a path to the new relay", lambda: paths("west")[0] == 1)
    until("both in the status", lambda: "2 of 2 paths live" in show(AGENT, "StatusText"))
    checks.equal("a reload keeps the path that stands", paths("east"), (1, 0))
    reloaded = journal(AGENT, "configuration is reloaded")[-1]
    checks.equal("a reload adds relays", reloaded.get("LONGREIN_ROUTES_BEGUN"), "2")
    warned = journal(AGENT, "these sections have changed, and need a restart of the agent")
    checks.equal("what needs a restart is said", [r["LONGREIN_SECTIONS"] for r in warned], ["function"])
    until("a record of level debug", lambda: any(r["PRIORITY"] == "7" for r in journal(AGENT)))
    checks.that("a reload changes the log's level", True)

    configure()
    run("systemctl", "reload", AGENT)
    until("the end of the path", lambda: paths("west") == (1, 1))
    checks.equal("a reload takes relays away, and keeps the path that stands", paths("east"), (1, 0))

    (CONFIG / "agent.toml").write_text("rubbish")
    run("systemctl", "reload", AGENT)
    until("the complaint", lambda: journal(AGENT, "configuration is wrong, and everything stays as it is"))
    configure()
    checks.equal("a file that is wrong changes nothing", (show(AGENT, "ActiveState"), paths("east")),
                 ("active", (1, 0)))
    until("news of the vehicle", lambda: len(driver.stages(begin)) > 5)
    # A gap of 200 ms (Hold) is the machine's when it is busy; the lease stays in any case.
    stages = driver.stages(begin)
    others = {one for one in stages if one[0] not in ("Nominal", "Hold") or one[2] != stages[0][2]}
    checks.equal("the vehicle was driven all the while, under one lease", others, set())
    downs = [e for e in driver.events[begin:] if e.get("event") == "down"]
    checks.equal("no session was lost", downs, [])
    checks.equal("it was the same process", show(AGENT, "MainPID"), pid)


def check_doctor(checks, driver):
    """As docs/install-agent.md says, beside the agent that runs."""
    begin, state = len(driver.events), "/var/lib/longrein/agent"
    done = run("runuser", "-u", "longrein-agent", "--", "longrein-agent", "--config", str(CONFIG / "agent.toml"),
               "--state", state, "--identity", f"{state}/identity", "doctor", "--json", may_fail=True)
    found = {one["check"]: one for one in map(json.loads, done.stdout.splitlines())}
    failed = [one for one in found.values() if one["level"] == "fail"]
    checks.equal("the doctor finds nothing that fails", (done.returncode, failed), (0, []))
    wanted = [("unit", f"{AGENT} is active"), ("state folder", f"in use by process {show(AGENT, 'MainPID')}"),
              ("route default to east", "is relay/east: handshake in")]
    for check, part in wanted:
        what = found.get(check, {}).get("what", "nothing")
        checks.that(f"the doctor sees to the {check}", part in what, what)
    until("news of the vehicle", lambda: len(driver.stages(begin)) > 3)
    downs = [e for e in driver.events[begin:] if e.get("event") in ("down", "lease_lost")]
    checks.equal("the drive beside it notices nothing", (downs, paths("east")), ([], (1, 0)))


def check_restart(checks, driver, how, number):
    before, restarts = driver.await_control(), int(show(AGENT, "NRestarts"))
    begin, pid = len(driver.events), int(show(AGENT, "MainPID"))
    begun = time.monotonic()
    os.kill(pid, number)
    token = driver.await_control(above=before)
    control_s = driver.controlled_at(begin, before) - begun
    checks.equal(f"{how}: started again, and driven after {control_s:.1f} s (fence {before}, then {token})",
                 (show(AGENT, "ActiveState"), int(show(AGENT, "NRestarts"))), ("active", restarts + 1))
    return control_s


def check_stop(checks, driver):
    driver.await_control()
    begin, pid = len(driver.events), show(AGENT, "MainPID")
    run("systemctl", "stop", AGENT)
    checks.equal("a stop ends the agent well", (show(AGENT, "ActiveState"), show(AGENT, "Result")),
                 ("inactive", "success"))
    down = until("the operator hears that it is over",
                 lambda: [e for e in driver.events[begin:] if e.get("event") == "down"])
    checks.equal("the operator hears why", down[0]["why"], "the agent ends, and the vehicle is in MinimalRisk")
    said = [(r["MESSAGE"], r.get("LONGREIN_STAGE")) for r in journal(AGENT) if r.get("_PID") == pid]
    entered = [index for index, one in enumerate(said) if one == ("stage is entered", "MinimalRisk")]
    ended = [index for index, one in enumerate(said) if one[0] == "agent ended"]
    checks.that("MinimalRisk is entered before the agent ends", entered and ended and entered[-1] < ended[-1],
                said[-8:])


def check_wrong_configuration(checks):
    (CONFIG / "agent.toml").write_text("rubbish")
    done = run("systemctl", "start", AGENT, may_fail=True)
    facts = (done.returncode != 0, show(AGENT, "ActiveState"), show(AGENT, "ExecMainStatus"))
    checks.equal("a wrong configuration is not started again and again", facts, (True, "failed", "2"))
    configure()
    run("systemctl", "start", AGENT)


def check_relay(checks, driver):
    for how, signal in (("a relay that hangs", "STOP"), ("a relay that is killed", "KILL")):
        before = int(show(RELAY, "NRestarts"))
        run("systemctl", "kill", "--kill-who=main", f"--signal={signal}", RELAY)
        until("a restart", lambda: int(show(RELAY, "NRestarts")) > before)
        until("the agent at it", lambda: "1 of 1 paths live" in show(AGENT, "StatusText"))
        driver.await_control()
        checks.that(f"{how} is started again, and the vehicle is driven through it", True)
    pid = show(RELAY, "MainPID")
    run("systemctl", "reload", RELAY)
    until("a reload", lambda: journal(RELAY, "configuration is reloaded"))
    checks.equal("a relay reloads", show(RELAY, "MainPID"), pid)


def drop_ins(document):
    """The drop-ins that a document shows, without whole units."""
    blocks = (SOURCE.parent / "docs" / document).read_text().split("```ini\n")[1:]
    blocks = [block.split("```")[0] for block in blocks]
    return [block for block in blocks if "ExecStart=" not in block]


def check_drop_ins(checks):
    for unit, document in ((AGENT, "install-agent.md"), (RELAY, "install-relay.md")):
        blocks = drop_ins(document)
        for number, block in enumerate(blocks):
            file = UNITS / f"{unit}.d" / "document.conf"
            file.write_text(block)
            done = run("systemd-analyze", "verify", str(UNITS / unit), may_fail=True)
            file.unlink()
            said = (done.returncode, done.stderr)
            checks.equal(f"drop-in {number + 1} of {len(blocks)} in {document} is one", said, (0, ""))
    (UNITS / f"{RELAY}.d" / "document.conf").write_text(drop_ins("install-relay.md")[0])
    (CONFIG / "relay.toml").write_text('[[listen]]\nname = "main"\naddress = "127.0.0.1:443"\n')
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", RELAY)
    bound = journal(RELAY, "listening")[-1].get("LONGREIN_LOCAL")
    checks.equal("with its drop-in a relay listens at a port below 1024", bound, "127.0.0.1:443")


def main():
    checks, driver = Checks(), None
    try:
        install()
        yard = pathlib.Path("/root/yard")
        enrol(yard)
        configure()
        run("systemctl", "start", AGENT)
        check_units(checks)
        check_ready(checks, RELAY, "longrein-relay")
        check_ready(checks, AGENT, "longrein-agent")
        check_local(checks)
        check_priority(checks)
        until("a path", lambda: "1 of 1 paths live" in show(AGENT, "StatusText"))
        driver = Driver(yard / "controller-alice")
        driver.await_control()
        until("the status", lambda: "held by controller/alice" in show(AGENT, "StatusText"))
        checks.that(f"the status is {show(AGENT, 'StatusText')!r}", True)
        check_doctor(checks, driver)
        check_reload(checks, driver)
        check_restart(checks, driver, "an agent that hangs", signal.SIGSTOP)
        failures = run("journalctl", "-b", "-o", "cat", "-u", AGENT).stdout
        checks.that("it was the watchdog", "Watchdog timeout" in failures, failures[-500:])
        best_s = min(check_restart(checks, driver, "an agent that is killed", signal.SIGKILL) for _ in range(3))
        checks.that(f"after a crash the vehicle is driven again within 2 s: the best of three took {best_s:.1f} s",
                    best_s <= 2, f"{best_s} s")
        check_relay(checks, driver)
        check_journal(checks)
        check_stop(checks, driver)
        check_wrong_configuration(checks)
        check_drop_ins(checks)
    except (Missing, subprocess.TimeoutExpired, KeyError, IndexError, ValueError, OSError) as missing:
        checks.that("the test goes on", False, f"{type(missing).__name__}: {missing}")
        for unit in (RELAY, AGENT):
            print(run("journalctl", "-b", "-n", "30", "-o", "short-monotonic", "-u", unit, may_fail=True).stdout)
    finally:
        if driver:
            driver.end()
    print(f"{checks.passed} checks passed, {checks.failed} failed", flush=True)
    return 1 if checks.failed else 0


if __name__ == "__main__":
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    sys.exit(main())
