"""Keeps N workers alive: replaces the dead, gives back what they held, hands on signals, and ends with the last."""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from openqueue.conf import config
from openqueue.processes.loop import Loop
from openqueue.processes.notifier import without
from openqueue.processes.pulse import Condition, Pulse
from openqueue.processes.supervisor.child import Child
from openqueue.processes.supervisor.place import Place
from openqueue.processes.supervisor.undertaker import Undertaker
from openqueue.processes.tether import AGAIN

logger = logging.getLogger("openqueue")

FAILED_STARTS: Final = 5
"""Workers in a row that died before their first lease, while no other is well, after which the supervisor gives up."""
SHORTEST_SILENCE: Final = 60.0
"""Seconds without a word after which a worker is killed, or twice the lease if that is longer."""
ASLEEP: Final = 5.0
"""Seconds between two looks that tell of a supervisor that was frozen."""
EDITING: Final = 2.0
"""Seconds between starts at most, while code is edited."""
LONGEST_START: Final = 300.0
"""Seconds that a worker may need until its first word."""
LOOK: Final = 0.5
"""Seconds after which the main thread looks around although nothing woke it."""
MARGIN: Final = 10.0
"""Seconds after the grace at which a worker that still stops is killed; by itself it needs five at most."""
LAST_RITES: Final = 5.0
"""Seconds that the claims of the last dead may take at the end."""


class Supervisor:
    """The main thread of a process that executes nothing itself and holds no connection while all is well."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: dict[str, str],
        processes: int,
        pulse: Pulse | None = None,
        reloads: bool = False,
    ) -> None:
        self.command = list(command)
        self.environment = without(environment)
        self.pulse = pulse or Pulse()
        self.reloads = reloads
        """Somebody edits the code right now: what does not come up is tried again until it does."""
        self.places = [Place() for _ in range(processes)]
        self.undertaker = Undertaker()
        self.bell, self.rope = os.pipe()
        """A byte for each signal: writing to a pipe is safe in a handler, whatever it interrupts."""
        for end in (self.bell, self.rope):
            os.set_blocking(end, False)
        self.silence = max(SHORTEST_SILENCE, 2 * config.lease.total_seconds())
        self.looked_at = time.monotonic()
        self.stops = 0
        self.kill_at = float("inf")
        self.code = 0

    @property
    def children(self) -> list[Child]:
        return [place.child for place in self.places if place.child is not None]

    def hear(self, number: int) -> None:
        """Take a signal; safe in a handler."""
        with suppress(BlockingIOError):  # so many signals are waiting that one more says nothing new
            os.write(self.rope, bytes([number]))

    def run(self) -> int:
        """Serve until told to stop, or until every worker is through; return the exit code."""
        loop = Loop("undertaker", self.undertaker.step, every=0.0)
        loop.start()
        while self.step():
            self.pulse.beat(self.condition())
            self.wait()
        until = time.monotonic() + LAST_RITES
        while not self.undertaker.idle and time.monotonic() < until:
            select.select([], [], [], 0.02)
        loop.stop()
        self.pulse.end()
        return self.code

    def step(self) -> bool:
        """Look around once; tell whether there is anything left to supervise."""
        for place in self.places:
            if place.child is not None:
                self.look_at(place, place.child)
        if os.getpid() == 1:
            self.reap_strangers()
        slept, self.looked_at = time.monotonic() - self.looked_at > ASLEEP, time.monotonic()
        for child in self.children:
            if slept:  # as the workers did, perhaps: then their silence says nothing
                child.heard_at = self.looked_at
            if time.monotonic() > self.kill_at:
                logger.error("a worker did not stop in time, killed", extra={"pid": child.pid})
                child.kill()
            elif child.silence > (self.silence if child.condition else LONGEST_START):
                # Its lease has ended, or never was: whatever it does is refused. A body holds the interpreter's lock.
                logger.error("a worker says nothing any more, killed", extra={"pid": child.pid})
                child.kill()
        if self.stops:
            return bool(self.children)
        for place in self.places:
            if place.is_due:
                self.start(place)
        return not all(place.is_through for place in self.places)

    def start(self, place: Place) -> None:
        try:
            place.fill(Child(self.command, self.environment))
        except OSError as error:  # no memory or no process left, for now
            logger.error("a worker cannot be started, trying again", extra={"error": str(error)})
            place.next_at = time.monotonic() + ASLEEP

    def look_at(self, place: Place, child: Child) -> None:
        child.listen()
        code = child.died()
        if code is None:
            return
        in_order = code == AGAIN or child.has_signed_off
        self.undertaker.hear(child.incarnations)
        place.is_through = child.is_through
        wait = place.vacate(mourned=not in_order)
        if in_order or (self.stops and not child.is_ready):
            return
        facts = {"pid": child.pid, "code": code, "age": round(child.age, 1), "next_in": wait}
        logger.error("a worker died, its runs are given back", extra=facts)
        if self.reloads:
            place.next_at = min(place.next_at, time.monotonic() + EDITING)
            return
        hopeless = place.failed_starts >= FAILED_STARTS and not any(one.is_ready for one in self.children)
        if hopeless and not self.stops:
            logger.critical(
                "no worker comes up, giving up: see what the last ones said", extra={"starts": FAILED_STARTS}
            )
            self.code = 1
            self.stop(signal.SIGTERM)

    def reap_strangers(self) -> None:
        """Take leave of orphans, as the first process of a container must: whose parents died are its children."""
        mine = {child.pid for child in self.children}
        with suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid in mine:
                    break  # it died just now: the next look is at it
                os.waitpid(dead.si_pid, 0)

    def condition(self) -> Condition:
        """Return how all workers are together: well when one is and none that has been ready is not."""
        known = [child.condition for child in self.children if child.is_ready and child.condition]
        notes = sorted({one.note for one in known if one.note})
        missing = len(self.places) - len(known)
        notes += [f"{missing} of {len(self.places)} workers not ready"] if missing else []
        return Condition(
            sure=bool(known) and all(one.sure for one in known),
            busy=sum(one.busy for one in known),
            slots=sum(one.slots for one in known),
            stalled=any(one.stalled for one in known),
            note=", ".join(notes),
        )

    def wait(self) -> None:
        """Sleep until a signal, a word of a child, or a moment has passed; hand signals on."""
        hands = [child.hand for child in self.children if not child.hand.is_cut]
        select.select([self.bell, *(hand.end.fileno() for hand in hands)], [], [], LOOK)
        with suppress(BlockingIOError):
            for number in os.read(self.bell, 64):
                if number != signal.SIGCHLD:
                    self.stop(number)

    def stop(self, number: int) -> None:
        """Have every worker stop; each further signal is handed on as well, and makes them hurry."""
        self.stops += 1
        self.pulse.stopping()
        self.kill_at = min(self.kill_at, time.monotonic() + config.shutdown_grace.total_seconds() + MARGIN)
        for child in self.children:
            # Before its first word it has no handlers: SIGTERM alone ends it in silence.
            child.send(signal.SIGQUIT if number == signal.SIGQUIT and child.incarnations else signal.SIGTERM)
