"""The protocol as an explicit-state model: every interleaving of a small world, one statement at a time.

Workers are processes with incarnations and leases, runs have one place, announcements are (run, seq). A few faults may
happen, of any kind, at any moment: a message is lost or doubled, a statement's answer is lost, or it arrives later
than its sender waits, a worker dies, sleeps, or is cut off from the database; an operator cancels or pauses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_CRASHES: Final = 3
Token = tuple[int, int, str]
"""The seq that was claimed, by which worker, and how its answer came: unique, as a UUID is."""


class Lie(AssertionError):
    """The model did what the protocol promises never to do."""


class Run(NamedTuple):
    """A row of `runs` with its place."""

    place: str = "outbox"
    """outbox, claim, or how it ended."""
    version: int = 1
    charged: int = 0
    crashes: int = 0
    token: Token | None = None
    holder: tuple[int, int] | None = None
    """Worker and incarnation of the claim."""
    cancel: bool = False
    closings: frozenset[Token] = frozenset()
    """Tokens that the events of accepted settles store."""
    promised: bool = False
    """A cancel was answered `cancelled`."""

    @property
    def over(self) -> bool:
        return self.place not in {"outbox", "claim"}


class Job(NamedTuple):
    """What a worker's process believes to hold."""

    run: int
    token: Token
    incarnation: int
    phase: str = "held"
    """held, body, or how the body ended while its record is in doubt: well, badly."""


class Worker(NamedTuple):
    """A process, and the rows of its incarnations."""

    state: str = "up"
    """up, away (asleep, or cut off from the database), dead."""
    sure: bool = True
    """Its last heartbeat is so young that bodies may begin."""
    leases: tuple[str, ...] = ("fresh",)
    """Of each incarnation: fresh, over, lost."""
    jobs: frozenset[Job] = frozenset()

    @property
    def incarnation(self) -> int:
        return len(self.leases) - 1

    def lease(self, incarnation: int, state: str) -> Worker:
        leases = list(self.leases)
        leases[incarnation] = state
        return self._replace(leases=tuple(leases))


class World(NamedTuple):
    """Everything at one moment."""

    runs: tuple[Run, ...]
    workers: tuple[Worker, ...]
    faults: int
    """How many may still happen."""
    messages: tuple[tuple[int, int], ...] = ()
    late: frozenset[tuple[object, ...]] = frozenset()
    """Statements that were sent and that the database has not executed."""
    paused: bool = False

    def run(self, number: int, **facts: object) -> World:
        runs = list(self.runs)
        runs[number] = runs[number]._replace(**facts)
        return self._replace(runs=tuple(runs))

    def worker(self, number: int, worker: Worker) -> World:
        workers = list(self.workers)
        workers[number] = worker
        return self._replace(workers=tuple(workers))

    def fault(self) -> World:
        return self._replace(faults=self.faults - 1)

    def take(self, message: tuple[int, int]) -> World:
        messages = list(self.messages)
        messages.remove(message)
        return self._replace(messages=tuple(messages))

    def add(self, message: tuple[int, int]) -> World:
        return self._replace(messages=tuple(sorted([*self.messages, message])))


Step = tuple[str, bool, World]
"""What happened, whether it happens by itself when no more goes wrong, and the world after it."""


class Protocol:
    """The rules. A test plants mistakes by overriding them."""

    def steps(self, world: World) -> Iterator[Step]:
        """Yield everything that can happen next."""
        for number in range(len(world.runs)):
            yield from self.of_run(world, number)
        for number in range(len(world.workers)):
            yield from self.of_worker(world, number)
        yield from self.of_late(world)
        if any(worker.state == "up" for worker in world.workers):
            yield from self.reaper(world)
        if world.paused:
            yield "resume", True, world._replace(paused=False)
        elif world.faults:
            yield "pause", False, world.fault()._replace(paused=True)
        for message in sorted(set(world.messages)) if world.faults else ():
            yield f"lose {message}", False, world.fault().take(message)
            if world.messages.count(message) == 1:
                yield f"double {message}", False, world.fault().add(message)

    # --- announcing, cancelling ------------------------------------------------------------------------------------

    def of_run(self, world: World, number: int) -> Iterator[Step]:
        run = world.runs[number]
        message = (number, run.version)
        if run.place == "outbox" and not world.paused and message not in world.messages:
            yield f"announce {message}", True, world.add(message)
            mark = ("mark", *message)
            if world.faults and mark not in world.late:
                later = world.fault().add(message)
                yield f"announce {message}, mark later", False, later._replace(late=later.late | {mark})
        if world.faults and not run.over and not run.cancel:
            asked = world.fault()
            if run.place == "outbox":
                asked = self.finish(asked, number, "cancelled").run(number, promised=True)
            else:
                asked = asked.run(number, cancel=True)
            yield f"cancel {number}", False, asked

    def marks(self, run: Run, seq: int) -> bool:
        return run.place == "outbox" and run.version == seq

    # --- the database ----------------------------------------------------------------------------------------------

    def claim(
        self, world: World, number: int, seq: int, token: Token, holder: tuple[int, int]
    ) -> World | None:
        """Execute a claim by name; None when the run is not there for it."""
        run = world.runs[number]
        if run.place != "outbox" or run.version != seq:
            return None
        if world.paused:
            return world  # deferred: put back unannounced
        return world.run(number, place="claim", version=seq + 1, token=token, holder=holder)

    def fence(self, run: Run, token: Token) -> bool:
        return run.place == "claim" and run.token == token

    def settle(self, world: World, number: int, token: Token, ending: str) -> World:
        """Execute a settle."""
        run = world.runs[number]
        if not self.fence(run, token):
            return world
        if run.over or run.token != token:
            raise Lie("a result was accepted that is not the holder's")
        world = world.run(number, closings=run.closings | {token})
        if ending == "well":
            return self.finish(world, number, "completed")
        return self.put_back(world, number, charged=run.charged + 1)

    def put_back(self, world: World, number: int, **facts: object) -> World:
        """Return a claimed run to the outbox; a cancel request beats it."""
        run = world.runs[number]
        if run.cancel:
            return self.finish(world, number, "cancelled")
        return world.run(number, place="outbox", version=run.version + 1, token=None, holder=None, **facts)

    def finish(self, world: World, number: int, ending: str) -> World:
        version = world.runs[number].version + 1
        return world.run(number, place=ending, version=version, token=None, holder=None)

    def of_late(self, world: World) -> Iterator[Step]:
        for one in sorted(world.late, key=repr):
            done = world._replace(late=world.late - {one})
            kind, number, *more = one
            assert isinstance(number, int)
            if kind == "mark":
                run = world.runs[number]
                if self.marks(run, *more) and run.version != more[0]:  # type: ignore[arg-type]
                    raise Lie("a row says that it was announced, and was not")
            elif kind == "claim":
                done = self.claim(done, number, *more) or done  # type: ignore[arg-type]
            else:
                done = self.settle(done, number, *more)  # type: ignore[arg-type]
            yield f"late {one}", False, done

    # --- the reaper ------------------------------------------------------------------------------------------------

    def may_reap(self, lease: str) -> bool:
        return lease == "over"

    def reaper(self, world: World) -> Iterator[Step]:
        for number, worker in enumerate(world.workers):
            for incarnation, lease in enumerate(worker.leases):
                if self.may_reap(lease):
                    yield f"{number} is lost", True, world.worker(number, worker.lease(incarnation, "lost"))
        for number, run in enumerate(world.runs):
            if run.place == "claim" and run.holder and self.holder_is_lost(world, run.holder):
                if run.crashes + 1 == MAX_CRASHES and not run.cancel:
                    yield f"fail {number}", True, self.finish(world, number, "failed")
                else:
                    yield f"reap {number}", True, self.put_back(world, number, crashes=run.crashes + 1)

    def holder_is_lost(self, world: World, holder: tuple[int, int]) -> bool:
        return world.workers[holder[0]].leases[holder[1]] == "lost"

    # --- a worker --------------------------------------------------------------------------------------------------

    def of_worker(self, world: World, number: int) -> Iterator[Step]:
        worker = world.workers[number]
        yield from self.fate(world, number, worker)
        if worker.state != "dead":
            for job in sorted(worker.jobs):
                yield from self.body(world, number, job)
        if worker.state == "up":
            yield f"beat {number}", True, self.beat(world, number)
            if worker.sure:
                for message in sorted(set(world.messages)):
                    yield from self.receive(world, number, message)
            for job in sorted(worker.jobs):
                if job.phase == "body":
                    yield from self.record(world, number, job, "well")
                    if not world.runs[job.run].charged:
                        yield from self.record(world, number, job, "badly")
                elif job.phase != "held":
                    yield from self.record(world, number, job, job.phase)

    def fate(self, world: World, number: int, worker: Worker) -> Iterator[Step]:
        if world.faults and worker.state == "up":
            for state in ("away", "dead"):
                jobs = frozenset() if state == "dead" else worker.jobs
                sure = worker.sure and state != "dead"
                gone = worker._replace(state=state, jobs=jobs, sure=sure)
                yield f"{number} is {state}", False, world.fault().worker(number, gone)
        for incarnation, lease in enumerate(worker.leases[:-1]):
            if lease == "fresh":
                ended = world.worker(number, worker.lease(incarnation, "over"))
                yield f"an old lease of {number} ends", True, ended
        if worker.state == "up":
            return
        if worker.state == "away" and worker.sure:
            yield f"{number} is not sure", True, world.worker(number, worker._replace(sure=False))
        elif worker.leases[-1] == "fresh":
            over = worker.lease(worker.incarnation, "over")._replace(sure=False)
            yield f"lease of {number} ends", True, world.worker(number, over)
        if worker.state == "dead":
            new = Worker(leases=(*worker.leases, "fresh"))
            yield f"{number} starts", True, world.worker(number, new)
        else:
            yield f"{number} is back", True, world.worker(number, worker._replace(state="up"))

    def beat(self, world: World, number: int) -> World:
        """Renew the lease, or take a new incarnation; give back what is not held."""
        worker = world.workers[number]
        if worker.leases[-1] == "lost":
            return world.worker(number, worker._replace(sure=True, leases=(*worker.leases, "fresh")))
        world = world.worker(number, worker.lease(worker.incarnation, "fresh")._replace(sure=True))
        for run, row in enumerate(world.runs):
            if row.place == "claim" and row.holder == (number, worker.incarnation) and row.token:
                if self.is_strange(worker, run, row.token):
                    world = self.put_back(world, run)
                elif row.cancel:
                    world = self.hear_cancel(world, number, run, row.token)
        return world

    def is_strange(self, worker: Worker, run: int, token: Token) -> bool:
        return all((job.run, job.token) != (run, token) for job in worker.jobs)

    def hear_cancel(self, world: World, number: int, run: int, token: Token) -> World:
        """A run in the runway ends at once, by its own settle."""
        worker = world.workers[number]
        waiting = {job for job in worker.jobs if (job.run, job.token, job.phase) == (run, token, "held")}
        if not waiting:
            return world
        world = world.worker(number, worker._replace(jobs=worker.jobs - waiting))
        return self.finish(world, run, "cancelled")

    def receive(self, world: World, number: int, message: tuple[int, int]) -> Iterator[Step]:
        run, seq = message
        worker = world.workers[number]
        holder = (number, worker.incarnation)
        token = (seq, number, "answered")
        done = self.claim(world, run, seq, token, holder)
        if done is None:
            yield f"{message} is gone", True, world.take(message)
            return
        acked = done.take(message)
        if acked.runs[run].place == "claim":
            jobs = worker.jobs | {Job(run, token, worker.incarnation)}
            yield f"{number} claims {message}", True, acked.worker(number, worker._replace(jobs=jobs))
            if world.faults:
                lost = self.claim(world, run, seq, (seq, number, "lost"), holder)
                assert lost is not None
                yield f"{number} claims {message}, answer lost", False, lost.fault()
                later = ("claim", run, seq, (seq, number, "late"), holder)
                yield (
                    f"{number} claims {message} later",
                    False,
                    world.fault()._replace(late=world.late | {later}),
                )
        else:
            yield f"{message} is deferred", True, acked

    def may_begin(self, worker: Worker, job: Job) -> bool:
        return worker.sure and job.incarnation == worker.incarnation

    def body(self, world: World, number: int, job: Job) -> Iterator[Step]:
        worker = world.workers[number]
        others = worker.jobs - {job}
        if job.phase == "held":
            if self.may_begin(worker, job):
                self.look_at_beginning(world, job)
                begun = worker._replace(jobs=others | {job._replace(phase="body")})
                yield f"{number} begins {job.run}", True, world.worker(number, begun)
            else:
                yield f"{number} drops {job.run}", True, world.worker(number, worker._replace(jobs=others))

    def look_at_beginning(self, world: World, job: Job) -> None:
        run = world.runs[job.run]
        if run.promised:
            raise Lie("a run began that was told to be cancelled")
        if run.token != job.token:
            raise Lie("a body began without its claim")
        for worker in world.workers:
            for other in worker.jobs - {job}:
                if (
                    (other.run, other.phase) == (job.run, "body")
                    and worker.state != "dead"
                    and worker.leases[other.incarnation] == "fresh"
                ):
                    raise Lie("two bodies of one run, and both leases stand")

    def record(self, world: World, number: int, job: Job, ending: str) -> Iterator[Step]:
        worker = world.workers[number]
        before = world.runs[job.run]
        done = self.settle(world, job.run, job.token, ending)
        hit = done != world
        if not hit and job.token not in before.closings and self.fence(before, job.token):
            raise Lie("its own claim, and told that it came too late")
        others = worker.jobs - {job}
        told = done.worker(number, worker._replace(jobs=others))
        yield f"{number} records {job.run} {ending}", ending == "well" or job.phase == ending, told
        if world.faults and hit:
            doubt = worker._replace(jobs=others | {job._replace(phase=ending)})
            yield (
                f"{number} records {job.run} {ending}, answer lost",
                False,
                done.fault().worker(number, doubt),
            )
            later = ("settle", job.run, job.token, ending)
            sent = world.fault().worker(number, doubt)
            yield (
                f"{number} records {job.run} {ending} later",
                False,
                sent._replace(late=world.late | {later}),
            )
