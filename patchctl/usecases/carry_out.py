"""The loop that carries a rollout out: record the intent, act, record the outcome, decide again.

Everything it touches comes in as an argument (model/ports.py), so the simulator runs this very loop. It can be killed
anywhere: whoever runs it next takes the rollout over with a higher token and asks every host how far it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set

from msgspec import Struct, field

from patchctl.model.errors import LockedError, StoreError
from patchctl.model.failpoints import hit
from patchctl.model.plan import Plan
from patchctl.model.ports import Clock, Executor, Interrupt, Journal, Observer
from patchctl.model.rollout import Event, HostJob, JobOutcome, Signature
from patchctl.rollout.actions import Action, Draft, Finish, Record, RunJob, Surroundings, Waits, WakeAt
from patchctl.rollout.decide import decide
from patchctl.rollout.journal import fold_all, initial, outcome_draft
from patchctl.rollout.state import RolloutState
from patchctl.usecases.narrate import STEP_WORDS, tell

LOOP = "patchctl"
"""Actor of what the loop itself decides."""
TICK_HORIZON = 30.0
"""Seconds: with `once`, what falls due within them is waited for, what lies further away is left to the next tick."""
BATCH_PER_HOST = 0.00005
"""Seconds per host of the rollout that are waited for more outcomes after the first: 1 ms for 20, 0.25 s for 5,000."""
LINGER = 10.0
"""Seconds that an interrupted run waits for visits under way; a second interrupt leaves at once."""
_STAYS_TRUE = frozenset({"job-ended", "controller-took-over", "controller-released", "notification-sent"})
"""Events that say what happened: written whatever others wrote meanwhile. All else is a decision, taken afresh."""
Decide = Callable[[RolloutState, float, Surroundings], Sequence[Action]]


class Options(Struct, frozen=True):
    """How the loop runs.

    `nap`: at most this many seconds pass between looks at the journal (a pause or approval from elsewhere) and at the
    interrupt; `signatures`: by platform; `down_elsewhere`: asked each pass for members other rollouts have down.
    """

    once: bool = False
    nap: float = 1.0
    signatures: Mapping[str, Sequence[Signature]] = field(default_factory=dict)
    down_elsewhere: Callable[[], Mapping[str, Set[str]]] = dict
    decide: Decide = decide
    """Replaced in tests only, to prove that a faulty decision is caught."""


def carry_out(
    plan: Plan,
    journal: Journal,
    executor: Executor,
    clock: Clock,
    observer: Observer,
    interrupt: Interrupt,
    actor: str,
    notifier: Callable[[Event], str] | None = None,
    *,
    next_token: Callable[[], int],
    options: Options = Options(),
) -> RolloutState:
    """Run a rollout until it is over, may not go on, or (with `options.once`) nothing is due now.

    `notifier` sends one event to whom it concerns and returns "" or why that failed; it may be asked again for the
    same event after a crash. `next_token` gives a durable number higher than any before. Raise LockedError when
    another controller takes the rollout over, StoreError when the journal cannot be written.
    """
    return _Loop(plan, journal, executor, clock, observer, interrupt, actor, notifier, next_token, options).run()


class _Loop:
    """The moving parts of one run. All decisions are in rollout/."""

    def __init__(
        self, plan: Plan, journal: Journal, executor: Executor, clock: Clock, observer: Observer,
        interrupt: Interrupt, actor: str, notifier: Callable[[Event], str] | None, next_token: Callable[[], int],
        options: Options,
    ) -> None:
        self._journal, self._executor, self._clock = journal, executor, clock
        self._observer, self._interrupt, self._actor = observer, interrupt, actor
        self._notifier, self._next_token, self._options = notifier, next_token, options
        self._state = fold_all(initial(plan), journal.events(plan.rollout))
        self._token = 0
        self._waits = Waits()

    def run(self) -> RolloutState:
        if not self._is_due():
            return self._state
        self._take_over()
        left = sum(1 for host in self._state.hosts.values() if not host.settled)
        self._observer.started(f"Rollout {self._state.rollout}", left)
        try:
            self._turn()
        finally:
            self._observer.ended()
        return self._state

    def _turn(self) -> None:
        while True:
            self._notify()
            actions = self._decide()
            records = [draft for action in actions if isinstance(action, Record) for draft in action.events]
            if records:
                self._record(records)
                continue
            if any(isinstance(action, Finish) for action in actions):
                return
            if self._interrupt.requested():
                self._release()
                return
            self._submit([action for action in actions if isinstance(action, RunJob)])
            wake = min((action.time for action in actions if isinstance(action, WakeAt)), default=math.inf)
            if self._options.once and self._may_leave(wake):
                return
            self._wait(wake)

    def _decide(self) -> Sequence[Action]:
        around = Surroundings(self._options.signatures, self._options.down_elsewhere(), self._waits)
        return self._options.decide(self._state, self._clock.now(), around)

    def _is_due(self) -> bool:
        """Whether there is anything to do, with `once` anything now: an idle run or tick writes nothing."""
        unsent = bool(self._notifier and self._state.unsent)
        if unsent or any(host.job for host in self._state.hosts.values()):
            return True
        actions = self._decide()
        if not self._options.once:
            return not any(isinstance(action, Finish) for action in actions)
        horizon = self._clock.now() + TICK_HORIZON
        return any(isinstance(a, Record | RunJob) or (isinstance(a, WakeAt) and a.time <= horizon) for a in actions)

    def _may_leave(self, wake: float) -> bool:
        return not self._executor.in_flight() and wake > self._clock.now() + TICK_HORIZON

    def _take_over(self) -> None:
        self._token = self._next_token()
        taken = Draft("controller-took-over", data={"token": self._token, "orphans": _jobs_out(self._state)})
        self._append([taken], self._actor)

    def _release(self) -> None:
        """Stop starting; take what the visits under way still bring for a moment, so that less is in doubt later."""
        until = self._clock.now() + LINGER
        while self._executor.in_flight() and self._clock.now() < until:
            self._wait(until)
        running = sorted(host.host for host in self._state.hosts.values() if host.open_attempt and not host.settled)
        self._append([Draft("controller-released", data={"running": running}, reason="interrupted")], self._actor)
        self._observer.note(
            f"stopped starting; {_name_running(running)}. Go on with: patchctl rollout resume {self._state.rollout}"
        )

    def _submit(self, runs: Sequence[RunJob]) -> None:
        """Make every intent durable in one write, then hand out the jobs."""
        if not runs:
            return
        self._record([run.intent for run in runs])
        for run in runs:
            if self._state.hosts[run.job.host].job != run.job.id:
                continue  # a foreign event (an abort, say) came in between and undid the intent
            self._hand_out(run.job)

    def _hand_out(self, job: HostJob) -> None:
        self._observer.step(job.host, STEP_WORDS[job.kind])
        if job.kind == "start":
            hit("start.submit.before")
        hit("job.submit.before")
        self._executor.submit(job)
        hit("job.submit.after")
        if job.kind == "start":
            hit("start.submit.after")

    def _wait(self, wake: float) -> None:
        """Wait for outcomes, for the next due time or for the next look, whatever comes first; record outcomes."""
        timeout = max(0.0, min(wake - self._clock.now(), self._options.nap))
        outcomes = self._executor.collect(timeout)
        if outcomes:
            # Deciding looks at every host: in a large fleet, what comes in together is decided on together.
            outcomes += self._executor.collect(BATCH_PER_HOST * len(self._state.hosts))
            hit("outcome.collect.after")
            self._record([self._outcome(outcome) for outcome in outcomes])
        self._absorb()

    def _outcome(self, outcome: JobOutcome) -> Draft:
        return outcome_draft(self._state.hosts[outcome.host], outcome)

    def _record(self, drafts: Sequence[Draft]) -> None:
        self._append(drafts, LOOP)

    def _append(self, drafts: Sequence[Draft], actor: str) -> None:
        """Make drafts durable and fold them. A foreign event that came first is folded before them."""
        while True:
            now, seq = self._clock.now(), self._state.seq
            events = []
            for draft in drafts:
                seq += 1 if draft.durable else 0
                events.append(Event(
                    self._state.rollout, seq if draft.durable else 0, now, actor, draft.kind, draft.host, draft.data,
                    draft.reason,
                ))
            durable = [event for event in events if event.seq]
            if durable:
                try:
                    self._journal.append(durable)
                except StoreError:
                    if not self._absorb():
                        raise  # nobody else wrote: the store itself is in trouble
                    if not all(draft.kind in _STAYS_TRUE for draft in drafts):
                        return  # decided on what is no longer true: decide again
                    continue
            self._fold(events)
            return

    def _absorb(self) -> bool:
        """Fold in what others wrote (pause, approval, abort). Raise LockedError if they took the rollout over."""
        foreign = self._journal.events(self._state.rollout, self._state.seq)
        for event in foreign:
            if event.kind == "controller-took-over" and int(event.data["token"]) > self._token:
                raise LockedError(
                    "taken-over", f"rollout {self._state.rollout} was taken over by {event.actor}",
                    f"watch it with: patchctl rollout watch {self._state.rollout}",
                )
        self._fold(foreign)
        return bool(foreign)

    def _fold(self, events: Sequence[Event]) -> None:
        self._state = fold_all(self._state, events)
        for event in events:
            tell(self._observer, event)

    def _notify(self) -> None:
        """Send what halts and ends the rollout to whom it concerns; remember that it was sent."""
        if self._notifier is None or not self._state.unsent:
            return
        unsent = set(self._state.unsent)
        events = [e for e in self._journal.events(self._state.rollout, min(unsent) - 1) if e.seq in unsent]
        for event in events:
            problem = self._notifier(event)
            if problem:
                self._observer.note(f"notification failed: {problem}")
            self._record([Draft("notification-sent", data={"of": event.seq, "problem": problem})])


def _name_running(hosts: Sequence[str]) -> str:
    if not hosts:
        return "no host is at work"
    names = ", ".join(hosts[:5]) + (" ..." if len(hosts) > 5 else "")
    if len(hosts) == 1:
        return f"1 host is still at work ({names}) and will finish on its own"
    return f"{len(hosts)} hosts are still at work ({names}) and will finish on their own"


def _jobs_out(state: RolloutState) -> list[str]:
    return [host.job for host in state.hosts.values() if host.job]

