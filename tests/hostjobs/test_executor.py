"""The embedded executor: limits hold, nothing is lost, no site stalls another."""

from __future__ import annotations

import threading

import pytest

from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import HostFailure
from patchctl.model.rollout import HostJob, JobOutcome
from patchctl.usecases.executor import PoolExecutor


def job(number: int, host: str = "") -> HostJob:
    return HostJob(f"job-{number}", "r1", host or f"h{number}", "poll", "r1.0.1", 3, data={"n": [number, None, "ü"]})


def drain(executor: PoolExecutor, count: int) -> list[JobOutcome]:
    found: list[JobOutcome] = []
    while len(found) < count:
        got = executor.collect(10)
        assert got, "an outcome was lost"
        found.extend(got)
    return found


def test_every_job_gives_one_outcome_and_forks_are_never_exceeded() -> None:
    guard, at_once, most = threading.Lock(), 0, 0

    def perform(one: HostJob) -> JobOutcome:
        nonlocal at_once, most
        with guard:
            at_once += 1
            most = max(most, at_once)
        with guard:
            at_once -= 1
        return JobOutcome(one.id, one.host, one.kind, "running")

    executor = PoolExecutor(perform, 4)
    for number in range(300):
        executor.submit(job(number))
    assert sorted(o.job for o in drain(executor, 300)) == sorted(f"job-{n}" for n in range(300))
    assert 1 <= most <= 4
    assert executor.in_flight() == 0
    assert executor.collect(0) == []


def test_a_site_at_its_limit_stalls_no_other() -> None:
    gate = threading.Event()
    begun: list[str] = []

    def perform(one: HostJob) -> JobOutcome:
        begun.append(one.host)
        if one.host.startswith("slow"):
            assert gate.wait(30)
        return JobOutcome(one.id, one.host, one.kind, "running")

    sites = {f"slow{n}": "oslo" for n in range(5)} | {f"fast{n}": "ams" for n in range(5)}
    executor = PoolExecutor(perform, 3, site_of=sites, site_forks={"oslo": 2})
    for n in range(5):
        executor.submit(job(n, f"slow{n}"))
    for n in range(5):
        executor.submit(job(10 + n, f"fast{n}"))
    assert {o.host for o in drain(executor, 5)} == {f"fast{n}" for n in range(5)}
    assert sorted(h for h in begun if h.startswith("slow")) == ["slow0", "slow1"]
    assert executor.in_flight() == 5
    gate.set()
    assert {o.host for o in drain(executor, 5)} == {f"slow{n}" for n in range(5)}


def test_a_job_that_breaks_becomes_a_failed_outcome() -> None:
    def perform(one: HostJob) -> JobOutcome:
        raise KeyError(one.host)

    executor = PoolExecutor(perform, 1)
    executor.submit(job(1))
    (outcome,) = drain(executor, 1)
    assert (outcome.result, outcome.error and outcome.error.code) == ("failed", "internal-error")


def test_collect_waits_no_longer_than_told() -> None:
    gate = threading.Event()

    def perform(one: HostJob) -> JobOutcome:
        assert gate.wait(30)
        return JobOutcome(one.id, one.host, one.kind, "running")

    executor = PoolExecutor(perform, 1)
    executor.submit(job(1))
    assert executor.collect(0.01) == []
    assert executor.in_flight() == 1
    gate.set()
    assert len(drain(executor, 1)) == 1


@pytest.mark.parametrize("error", [None, HostFailure("ssh-timeout", "no answer", "hint", "unreachable")])
def test_jobs_and_outcomes_are_plain_values(error: HostFailure | None) -> None:
    one = job(1)
    assert from_json(HostJob, to_json(one)) == one
    outcome = JobOutcome(one.id, one.host, "poll", "finished", one.attempt, error, {"rc": 0, "changes": [{"from": ""}]})
    assert from_json(JobOutcome, to_json(outcome)) == outcome
