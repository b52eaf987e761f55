"""A client of the longrein agent's local API: one file, only the standard library, Linux. docs/local-api.md describes the messages.

    with Local() as agent:                                  # the agent's socket for devices
        agent.claim("drive")                                # this program is the device of `drive`
        safe = FailSafe()
        while True:
            for message in agent.receive(0.010):            # waits at most 10 ms
                if message.get("function") == "drive":
                    safe.obey(message)
            drive = safe.drive()                            # None: slow down to a stand
            ...
            agent.telemetry("drive", x_mm=0, y_mm=0, heading_mrad=0, speed_mm_s=0)

`receive` acknowledges every word for a device itself, so call it at least every 50 ms while a function is claimed: a device that does not
acknowledge for 100 ms is lost. Closed is raised when the connection has ended: bring the vehicle to a stand, then connect again.

An observer's program is shorter still: `for message in Local(OBSERVER).receive(1.0): print(message)`.
"""

import collections
import json
import select
import socket
import time

DEVICE = "/run/longrein/agent/device.sock"
OBSERVER = "/run/longrein/agent/observer.sock"
API = 1
# Whoever heard nothing for so long fails safe (SAFE-60).
SILENCE_MAX_S = 0.100
# Longer than any message of the agent.
MESSAGE_BYTES_MAX = 160_000
# Messages that wait while an answer is awaited; the oldest give way.
WAITING_MAX = 256


def now():
    """Seconds on the clock of the agent's deadlines, which also counts while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Closed(Exception):
    """The connection has ended: the agent ended, or this program did not read, or sent too much."""


class Refused(Exception):
    """The agent did not do what was asked; `word` is the `error` of docs/local-api.md."""

    def __init__(self, answer):
        super().__init__(f"{answer['error']}: {answer['detail']}")
        self.word = answer["error"]


class Local:
    """A connection to the agent. Of one thread: use one connection for each."""

    def __init__(self, path=DEVICE, timeout_s=5.0):
        self.timeout_s = timeout_s
        self.waiting = collections.deque(maxlen=WAITING_MAX)
        self.last_id = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.socket.settimeout(timeout_s)
            self.socket.connect(path)
            self.socket.setblocking(False)
            self.hello = self._next(now() + timeout_s).get("hello", {})
            if self.hello.get("api") != API:
                raise Closed(f"the agent's local API is {self.hello.get('api')}, not {API}")
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the connection; what this program was the device of has none then."""
        self.socket.close()

    def fileno(self):
        """For select, poll and the like: readable when `receive(0)` has something."""
        return self.socket.fileno()

    def claim(self, function):
        """Is the function's device from now on."""
        self._ask(do="claim", function=function)

    def release(self, function):
        """Is the function's device no more."""
        self._ask(do="release", function=function)

    def minimal_risk(self, function, why=""):
        """Has the function stand, at once; motion needs a resume by the operator."""
        self._ask(do="minimal_risk", function=function, why=why)

    def stop(self, why=""):
        """Latches the emergency stop; only an operator resets it."""
        self._ask(do="stop", why=why)

    def telemetry(self, function, x_mm, y_mm, heading_mrad, speed_mm_s):
        """Tells the state of the vehicle; false when the agent is behind, and it is dropped."""
        state = {"x_mm": x_mm, "y_mm": y_mm, "heading_mrad": heading_mrad, "speed_mm_s": speed_mm_s}
        return self._send({"function": function, "telemetry": state})

    def telemetry_bytes(self, function, data):
        """Tells bytes of an opaque function; false when the agent is behind, and they are dropped."""
        return self._send({"function": function, "telemetry_hex": data.hex()})

    def report(self, key, value):
        """Reports an item of the vehicle at the hub, as `own.` and this name; None takes it back."""
        self._ask(do="report", key=key, value=value)

    def letters(self):
        """Takes letters for the vehicle from now on: `receive` gives messages with `letter`, and each wants `applied` or `declined`."""
        self._ask(do="letters")

    def applied(self, letter):
        """Did what the letter of this number says; the next ones come only then."""
        self._ask(do="applied", letter=letter)

    def declined(self, letter, why="declined"):
        """Did not, and why, in one word."""
        self._ask(do="declined", letter=letter, why=why)

    def send(self, to, flow, payload, ttl_s=60, kept=False):
        """Sends a letter to a node, or to a list of them, by the hub; kept: into their mailboxes."""
        to = [to] if isinstance(to, str) else to
        ttl_ms = round(ttl_s * 1000)
        self._ask(do="send", to=to, flow=flow, payload=payload, ttl_ms=ttl_ms, kept=kept)

    def receive(self, timeout_s):
        """The messages that are there, at most 64; waits so long for the first. Acknowledges words for devices."""
        messages = list(self.waiting)
        self.waiting.clear()
        until = now() + (0 if messages else timeout_s)
        while len(messages) < 64:
            message = self._next(until)
            if message is None:
                break
            messages.append(message)
            until = 0
        return messages

    def _ask(self, **request):
        self.last_id += 1
        until = now() + self.timeout_s
        while not self._send({"id": self.last_id, **request}):
            if now() >= until:
                raise TimeoutError("the agent takes no message")
            select.select([], [self.socket], [], 0.010)
        while (message := self._next(until)) is not None:
            if message.get("id") != self.last_id:
                self.waiting.append(message)
            elif "error" in message:
                raise Refused(message)
            else:
                return
        raise TimeoutError("the agent does not answer")

    def _next(self, until):
        """One message; none when it is `until` and there is none."""
        while True:
            try:
                received = self.socket.recv(MESSAGE_BYTES_MAX)
            except BlockingIOError:
                left = until - now()
                if left <= 0:
                    return None
                select.select([self.socket], [], [], left)
                continue
            except OSError as error:
                raise Closed(str(error)) from error
            if not received:
                raise Closed("the agent has ended the connection")
            message = json.loads(received)
            if "seq" in message:
                message["read_at"] = now()
                self._send({"function": message["function"], "ack": message["seq"]})
            return message

    def _send(self, message):
        try:
            self.socket.send(json.dumps(message, separators=(",", ":")).encode())
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            raise Closed(str(error)) from error


class FailSafe:
    """The newest word for a device, and what of it still holds. Without a word that holds the vehicle is to slow down to a stand."""

    def __init__(self):
        self.word = None
        self.until = 0.0

    def obey(self, word):
        """Takes a word of `Local.receive`; one that was read too late changes nothing."""
        if self._end(word) > word["read_at"]:
            self.word, self.until = word, self._end(word)

    def holds(self, at=None):
        """Whether a word holds at this moment, by default now."""
        return self.word is not None and (now() if at is None else at) < self.until

    def must_stop(self):
        """Whether to stop as fast as is safe. That outlasts the word: silence does not end an emergency."""
        return self.word is not None and (self.word["stopped"] or self.word["stage"] == "MinimalRisk")

    def drive(self, at=None):
        """Speed and curvature to drive with, or None for a stand. In Hold: no faster than the vehicle is."""
        if self.must_stop() or not self.holds(at) or self.word["stage"] not in ("Nominal", "Hold"):
            return None
        return self.word.get("drive")

    def is_hold(self):
        """Whether the vehicle is to gain no speed."""
        return self.word is not None and self.word["stage"] == "Hold"

    def opaque(self):
        """The bytes of the newest word, once; None when there are none or they are over. Call it after each `obey`."""
        holds = self.holds() and not self.must_stop()
        text = self.word.pop("opaque_hex", None) if self.word else None
        return bytes.fromhex(text) if holds and text else None

    @staticmethod
    def _end(word):
        return min(word["deadline_boottime_us"] / 1e6, word["read_at"] + SILENCE_MAX_S)
