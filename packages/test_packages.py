#!/usr/bin/env python3
"""Installs the packages in a clean Debian with systemd: within the container that `./dev package` boots, as root.

What the documents tell a person to type is read from docs/install-relay.md and docs/install-agent.md and typed here, so that they are
enough. Every line on stdout is one check.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import time

SOURCE = pathlib.Path("/source")
sys.path.insert(0, str(SOURCE / "systemd"))
from test_units import AGENT, CONFIG, RELAY, Checks, Driver, Missing, run, show, until  # noqa: E402

FIRST, SECOND = pathlib.Path("/first"), pathlib.Path("/second")
STATE = pathlib.Path("/var/lib/longrein/agent")
YARD = pathlib.Path("/root/yard")
# From the first key that is typed to a vehicle that is driven; a person's reading is not in it.
DRIVEN_WITHIN_S = 60
# What a purge need not undo: logs, caches, what systems note of themselves.
OTHERS = re.compile(r"/(proc|sys|dev|run|tmp|out|first|second|source|root|var/(log|cache|tmp|lib/(dpkg|apt|systemd)))(/|$)")


def section(document, title, before="\n#"):
    """What a document says below a title, up to the next one."""
    text = (SOURCE / "docs" / document).read_text()
    return text.split(f"\n## {title}\n", 1)[1].split(before, 1)[0]


def blocks(document, title):
    """Language and text of each block of code in a section."""
    return re.findall(r"```(\w+)\n(.*?)```", section(document, title), re.S)


def type_in(text, folder):
    """Types lines of a document into a shell of root in a folder; the first that fails ends it."""
    done = subprocess.run(["bash", "-e"], input=text, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Missing(f"in the shell: {text}exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def tree():
    """Every file outside what others keep."""
    found = set()
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if not OTHERS.match(os.path.join(folder, name))]
        found.update(os.path.join(folder, name) for name in folders + files)
    return found


def digest(*files):
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def failed_units():
    return run("systemctl", "--failed", "--plain", "--no-legend").stdout.strip()


def package_state(name):
    return run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name, may_fail=True).stdout.strip()


def check_installed(checks, unit, name):
    """What an installation leaves: a service that does not run, and nothing that failed."""
    checks.equal(f"{unit} is installed and does not run",
                 (show(unit, "LoadState"), show(unit, "ActiveState"), show(unit, "UnitFileState")),
                 ("loaded", "inactive", "disabled"))
    checks.equal(f"the user longrein-{name} is there", run("id", "-un", f"longrein-{name}").stdout.strip(), f"longrein-{name}")
    owner = run("stat", "-c", "%U %a", str(CONFIG / f"{name}.toml")).stdout.strip()
    checks.equal(f"{name}.toml is root's, and others may read it", owner, "root 644")
    conffiles = run("dpkg-query", "-W", "-f", "${Conffiles}", f"longrein-{name}").stdout
    checks.that(f"{name}.toml is a configuration file of the package", f" /etc/longrein/{name}.toml " in conffiles, conffiles)
    done = run("systemctl", "start", unit, may_fail=True)
    checks.that(f"{unit} does not start before there is a certificate, and says why",
                done.returncode != 0 and "Assertion failed" in done.stderr, done.stderr)
    checks.equal("no unit has failed", failed_units(), "")


def check_help(checks, program):
    page = pathlib.Path(f"/usr/share/man/man1/{program}.1.gz")
    checks.that(f"{program} has a manual page", page.is_file(), "none")
    script = f". /usr/share/bash-completion/completions/{program}; COMP_WORDS=({program} --ver); COMP_CWORD=1; " \
             f"$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {program} --ver {program}; echo ${{COMPREPLY[@]}}"
    checks.equal(f"bash completes {program}", run("bash", "-c", script, may_fail=True).stdout.strip(), "--version")


def install_relay(checks):
    """docs/install-relay.md, for the first relay of a fleet; its folder comes from the command line's package."""
    install, start = [text for language, text in blocks("install-relay.md", "Install") if language == "sh"]
    type_in(install, FIRST)
    check_installed(checks, RELAY, "relay")
    type_in("apt install ./longrein_*.deb", FIRST)
    run("longrein", "fleet", "init", str(YARD), "--name", "yard", "--relay", "east", "--controller", "alice")
    run("cp", "-r", str(YARD / "relay-east"), str(CONFIG / "relay"))
    type_in(start, FIRST)
    checks.equal("the relay runs as its document says", show(RELAY, "ActiveState"), "active")
    run("systemd-run", "-q", "--unit=authority", "longrein", "authority", "serve", "--dir", str(YARD),
        "--relay", "east=127.0.0.1:4433")


def install_agent(checks, folder):
    """docs/install-agent.md, from a token to a driven vehicle."""
    token = run("longrein", "fleet", "token", "--dir", str(YARD), "--role", "agent", "--name", "truck-17", "--ttl", "1h")
    (folder / "token").write_text(token.stdout)
    found = blocks("install-agent.md", "Install")
    checks.equal("the document is commands, settings, commands", [language for language, _ in found], ["sh", "toml", "sh"])
    (_, install), (_, settings), (_, start) = found
    begun = time.monotonic()
    apt, enrol = install.splitlines()
    type_in(apt, folder)
    installed = time.monotonic()
    check_installed(checks, AGENT, "agent")
    asked = time.monotonic() - installed
    type_in(enrol, folder)
    with open(CONFIG / "agent.toml", "a") as file:
        file.write("\n" + settings)
    status = type_in(start, folder)
    checks.that("the agent runs as its document says", "active (running)" in status, status)
    driver = Driver(YARD / "controller-alice")
    driver.await_control()
    seconds = time.monotonic() - begun - asked
    checks.that(f"from apt install to a driven vehicle: {seconds:.1f} s", seconds < DRIVEN_WITHIN_S, seconds)
    return driver


def check_upgrade(checks, driver):
    """A new version goes in while the vehicle is driven, and takes over when the agent is restarted."""
    _, restart, unattended = [text for _, text in blocks("install-agent.md", "Upgrade without losing a drive")]
    kept = [CONFIG / "agent" / "node.key", CONFIG / "agent.toml", STATE / "identity" / "node.key"]
    before, pid, token = digest(*kept), show(AGENT, "MainPID"), driver.await_control()
    begin = len(driver.events)
    type_in(unattended, SECOND)
    upgraded = len(driver.events)
    version = run("dpkg-query", "-W", "-f", "${Version}", "longrein-agent").stdout
    checks.that(f"version {version} is installed", version.endswith(".1"), version)
    until("more of the drive", lambda: len(driver.stages(upgraded)) >= 5)
    drives = {(holder, number) for _, holder, number in driver.stages(begin)}
    checks.equal("an upgrade leaves the drive as it is: who drives, and the token", drives, {("controller/alice", token)})
    stages = {stage for stage, _, _ in driver.stages(begin)}
    checks.equal("no stage is entered meanwhile", stages, {"Nominal"})
    losses = [e for e in driver.events[begin:] if e.get("event") in ("down", "draining", "lease_lost", "lease_removed", "declined")]
    checks.equal("the operator notices nothing", losses, [])
    checks.that("it is the same process, of the program that was there",
                show(AGENT, "MainPID") == pid and os.readlink(f"/proc/{pid}/exe").endswith("(deleted)"), pid)
    type_in(restart, SECOND)
    after = driver.await_control(above=token)
    program = os.readlink(f"/proc/{show(AGENT, 'MainPID')}/exe")
    checks.equal("after a restart it is the new program", program, "/usr/bin/longrein-agent")
    checks.that(f"the fencing token grows over the upgrade: {token}, then {after}", after > token, after)
    checks.equal("keys and the edited configuration are as they were", digest(*kept), before)
    checks.that("the new example is beside it", (CONFIG / "agent.toml.dpkg-dist").is_file(), os.listdir(CONFIG))
    (CONFIG / "agent.toml.dpkg-dist").unlink()
    pid = show(RELAY, "MainPID")
    type_in(blocks("install-relay.md", "Upgrade without losing a drive")[0][1], SECOND)
    checks.equal("an upgrade leaves a relay running", (show(RELAY, "MainPID"), show(RELAY, "ActiveState")), (pid, "active"))
    return after


def check_remove(checks, driver, token):
    """A removal ends the agent as a stop does, and keeps what it needs to come back."""
    kept = [CONFIG / "agent" / "node.key", CONFIG / "agent.toml", STATE / "identity" / "node.key"]
    before, begin = digest(*kept), len(driver.events)
    run("apt-get", "remove", "-y", "longrein-agent")
    down = until("the operator hears that it is over",
                 lambda: [e for e in driver.events[begin:] if e.get("event") == "down"])
    checks.equal("at a removal the operator hears why", down[0]["why"], "the agent ends, and the vehicle is in MinimalRisk")
    checks.equal("the package is removed, its configuration is not", package_state("longrein-agent"), "rc")
    checks.that("nothing of it runs", show(AGENT, "ActiveState") == "inactive" and not pathlib.Path("/usr/bin/longrein-agent").exists(),
                show(AGENT, "ActiveState"))
    checks.equal("a removal keeps keys and configuration", digest(*kept), before)
    checks.equal("no unit has failed", failed_units(), "")
    type_in("apt install ./longrein-agent_*.deb", SECOND)
    run("systemctl", "start", AGENT)
    after = driver.await_control(above=token)
    checks.that(f"installed again it is driven again, and the token grows: {token}, then {after}", after > token, after)


def check_purge(checks, before):
    """A purge of all leaves what was there before."""
    run("systemctl", "stop", "authority.service")
    run("apt-get", "purge", "-y", "longrein-agent", "longrein-relay", "longrein")
    for unit in (AGENT, RELAY):
        checks.equal(f"{unit} is gone", show(unit, "LoadState"), "not-found")
    checks.equal("no unit has failed", failed_units(), "")
    left = sorted(tree() - before)
    checks.equal("a purge leaves no file", left, [])
    states = [package_state(name) for name in ("longrein-agent", "longrein-relay", "longrein")]
    checks.that("no package is known any more", all(state in ("", "un") for state in states), states)


def main():
    checks, driver = Checks(), None
    try:
        pathlib.Path("/etc/hosts").write_text("127.0.0.1 localhost relay-east.example\n")
        before = tree()
        install_relay(checks)
        folder = pathlib.Path("/root/install")
        folder.mkdir()
        for deb in FIRST.glob("longrein-agent_*.deb"):
            (folder / deb.name).symlink_to(deb)
        driver = install_agent(checks, folder)
        for program in ("longrein", "longrein-agent", "longrein-relay"):
            check_help(checks, program)
        token = check_upgrade(checks, driver)
        check_remove(checks, driver, token)
        driver.end()
        check_purge(checks, before)
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
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    # needrestart, which apt calls, restarts whatever it finds outdated and may restart.
    os.environ["NEEDRESTART_MODE"] = "a"
    sys.exit(main())
