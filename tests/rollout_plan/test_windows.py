"""Promises of windows: the right days (against dateutil), and every daylight-saving edge under the stated rule."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule
from dateutil import tz as dateutil_tz
from hypothesis import given
from hypothesis import strategies as st

from patchctl.model.localtime import instant, parse_zone
from patchctl.rollout.windows import (
    can_follow,
    closes_at,
    is_open,
    next_opening,
    openings,
    parse_blackout,
    parse_window,
    reach,
)

ZONES = [
    "UTC", "Europe/Amsterdam", "Europe/Dublin", "America/New_York", "America/Havana", "America/Sao_Paulo",
    "Africa/Cairo", "Africa/Casablanca", "Asia/Kolkata", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia",
    "Atlantic/Azores", "America/St_Johns",
]
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
RRULE_DAYS = [rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU]


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def local(moment: float, zone: str) -> str:
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def starts(text: str, zone: str, begin: float, count: int) -> list[float]:
    found = []
    for start, _ in openings(parse_window(text), (), zone, begin):
        if start >= begin:
            found.append(start)
        if len(found) == count:
            break
    return found


# -- text

@pytest.mark.parametrize("text", [
    "2nd tue +1d 20:00 4h", "last fri 22:00 6h", "daily 22:00 4h", "mon,wed 20:00-23:30", "sat 22:00 6h",
    "2026-12-01 20:00 4h", "mon-fri 00:00-24:00", "5th sun 03:00 90m", "fri-mon 22:00 1h", "", "always",
])
def test_accepts_the_documented_forms(text: str) -> None:
    assert parse_window(text.upper()) == parse_window(f"  {text}  ")


@pytest.mark.parametrize(("text", "says"), [
    ("tuesday 20:00 4h", "not a weekday"),
    ("2nd 20:00 4h", "not a weekday"),
    ("2nd tue,wed 20:00 4h", "one weekday"),
    ("6th tue 20:00 4h", "cannot read the days"),
    ("2nd tue 1d 20:00 4h", "not an offset"),
    ("2nd tue +28d 20:00 4h", "at most +27d"),
    ("daily 4h", "no start time"),
    ("daily 20:00", "needs exactly one length"),
    ("daily 25:00 4h", "not a time of day"),
    ("daily 24:00 4h", "00:00 of the next day"),
    ("daily 20:61 4h", "not a time of day"),
    ("daily 20:00 4", "not a duration"),
    ("daily 20:00 8d", "7 days"),
    ("daily 20:00 30s", "1 minute"),
    ("daily 20:00-20:00", "same time"),
    ("daily 20:00-22:00 4h", "after its end time"),
    ("2026-02-30 20:00 4h", "not a date"),
    ("20:00 4h", "cannot read the days"),
    ("daily mon 20:00 4h", "cannot read the days"),
])
def test_refuses_with_a_message_that_helps(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("+", r"\+")):
        parse_window(text)


@given(st.text(alphabet="0123456789:-+,dhm lastfrimonwe2nd", max_size=25))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        window = parse_window(text)
    except ValueError as error:
        assert str(error)
    else:
        assert next_opening(window, (), "UTC", 0.0) >= 0.0


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2026-12-24/2026-12-01", "tomorrow", "2026-01-01/2099-01-01", "20261201"]
)
def test_refuses_bad_blackouts(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a date|ends before|longer than"):
        parse_blackout(text)


def test_unknown_time_zone_gets_a_near_name() -> None:
    with pytest.raises(ValueError, match="did you mean Europe/Amsterdam"):
        parse_zone("Europe/Amsterdm")
    with pytest.raises(ValueError, match="not a time zone"):
        parse_zone("Europe")
    with pytest.raises(ValueError, match="not a time zone"):
        parse_zone("../../etc/passwd")


# -- the right days: dateutil's rrule is the oracle

def oracle(rule: rrule.rrule, offset: int, clock: str, zone: str, begin: float, count: int) -> list[float]:
    """Naive local starts by rrule, made instants by dateutil's own zone; the first instant after a gap."""
    zone_info = dateutil_tz.gettz(zone)
    hour, minute = map(int, clock.split(":"))
    found: list[float] = []
    for day in rule:
        naive = day + timedelta(days=offset, hours=hour, minutes=minute)
        aware = naive.replace(tzinfo=zone_info)
        if not dateutil_tz.datetime_exists(aware):
            while not dateutil_tz.datetime_exists(naive.replace(tzinfo=zone_info)):
                naive += timedelta(minutes=1)
            aware = naive.replace(tzinfo=zone_info)
        moment = (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        if moment >= begin:
            found.append(moment)
        if len(found) == count:
            break
    return found


clocks = st.one_of(st.sampled_from(["00:00", "00:30", "02:00", "02:30", "01:59", "23:59"]),
                   st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)))
begins = st.integers(int(at("2005-01-01")), int(at("2036-01-01"))).map(float)


nths = st.sampled_from([1, 2, 3, 4, 5, -1])


@given(st.integers(0, 6), nths, st.integers(0, 27), clocks, st.sampled_from(ZONES), begins)
def test_monthly_starts_agree_with_rrule(
    weekday: int, nth: int, offset: int, clock: str, zone: str, begin: float
) -> None:
    name = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 5: "5th", -1: "last"}[nth]
    text = f"{name} {WEEKDAYS[weekday]} +{offset}d {clock} 2m"
    first = datetime.fromtimestamp(begin, UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    rule = rrule.rrule(rrule.MONTHLY, byweekday=RRULE_DAYS[weekday](nth), dtstart=first - timedelta(days=70))
    assert starts(text, zone, begin, 6) == oracle(rule, offset, clock, zone, begin, 6)


@given(st.sets(st.integers(0, 6), min_size=1), clocks, st.sampled_from(ZONES), begins)
def test_weekly_starts_agree_with_rrule(weekdays: set[int], clock: str, zone: str, begin: float) -> None:
    text = f"{','.join(WEEKDAYS[day] for day in weekdays)} {clock} 2m"
    first = datetime.fromtimestamp(begin, UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    rule = rrule.rrule(rrule.WEEKLY, byweekday=[RRULE_DAYS[d] for d in weekdays], dtstart=first - timedelta(days=3))
    # A day that the calendar skips (Samoa, 2011-12-30) merges with the next midnight in both, so compare as sets.
    assert sorted(set(starts(text, zone, begin, 12))) == sorted(set(oracle(rule, 0, clock, zone, begin, 12)))


@pytest.mark.parametrize("zone", ZONES)
def test_wall_times_around_every_change_of_offset(zone: str) -> None:
    """For 2005 to 2036, on the day of every change and its neighbours, each quarter of an hour."""
    info = ZoneInfo(zone)
    day = date(2005, 1, 1)
    changes = 0
    while day.year < 2036:
        following = day + timedelta(days=1)
        before, after = (datetime.combine(d, datetime.min.time(), info) for d in (day, following + timedelta(days=1)))
        if before.utcoffset() != after.utcoffset():
            changes += 1
            for minutes in range(0, 24 * 60, 15):
                check_rule(day, minutes, info)
                check_rule(following, minutes, info)
        day = following
    assert changes > 0 or zone in ("UTC", "Asia/Kolkata")


def check_rule(day: date, minutes: int, zone: ZoneInfo) -> None:
    found = instant(day, minutes, zone)
    wanted = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)
    shown = datetime.fromtimestamp(found, zone).replace(tzinfo=None)
    earlier = datetime.fromtimestamp(found - 1, zone).replace(tzinfo=None)
    if shown == wanted:
        twins = {wanted.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
        assert found == min(twins), "of two, the first"
    else:
        assert earlier < wanted < shown, "the first instant after the gap: a second before, the wall showed less"


# -- edges by hand

def test_a_start_in_the_gap_is_the_first_instant_after_it() -> None:
    window = parse_window("daily 02:30 1h")
    opened = next_opening(window, (), "Europe/Amsterdam", at("2026-03-29 00:00", "Europe/Amsterdam"))
    assert local(opened, "Europe/Amsterdam") == "2026-03-29 03:00"
    assert closes_at(window, (), "Europe/Amsterdam", opened) == opened + 3600


def test_a_start_that_occurs_twice_is_the_first() -> None:
    window = parse_window("daily 02:30 1h")
    opened = next_opening(window, (), "Europe/Amsterdam", at("2026-10-25 00:00", "Europe/Amsterdam"))
    assert datetime.fromtimestamp(opened, UTC).isoformat() == "2026-10-25T00:30:00+00:00"
    assert not is_open(window, (), "Europe/Amsterdam", opened + 3600)


def test_a_length_is_elapsed_time_and_an_end_is_wall_time() -> None:
    begin = at("2026-03-28 12:00", "Europe/Amsterdam")
    elapsed, wall = parse_window("daily 22:00 6h"), parse_window("daily 22:00-04:00")
    opened = next_opening(elapsed, (), "Europe/Amsterdam", begin)
    assert local(closes_at(elapsed, (), "Europe/Amsterdam", opened), "Europe/Amsterdam") == "2026-03-29 05:00"
    assert local(closes_at(wall, (), "Europe/Amsterdam", opened), "Europe/Amsterdam") == "2026-03-29 04:00"


def test_a_span_inside_a_gap_does_not_take_place() -> None:
    window = parse_window("sun 02:10-02:50")
    opened = next_opening(window, (), "Europe/Amsterdam", at("2026-03-28 12:00", "Europe/Amsterdam"))
    assert local(opened, "Europe/Amsterdam") == "2026-04-05 02:10"


def test_whole_days_touch_and_never_close_in_between() -> None:
    window = parse_window("mon-fri 00:00-24:00")
    monday = at("2026-10-19 00:00", "Europe/Amsterdam")
    assert closes_at(window, (), "Europe/Amsterdam", monday) == at("2026-10-24 00:00", "Europe/Amsterdam")
    always = parse_window("daily 00:00-24:00")
    for hour in range(0, 24 * 400, 7):
        assert is_open(always, (), "Europe/Amsterdam", monday + hour * 3600)
    assert closes_at(always, (), "Europe/Amsterdam", monday) > monday + 30 * 86400


def test_a_dated_window_opens_once() -> None:
    window = parse_window("2026-12-01 20:00 4h")
    opened = next_opening(window, (), "UTC", 0.0)
    assert opened == at("2026-12-01 20:00")
    assert next_opening(window, (), "UTC", opened + 4 * 3600) == math.inf
    assert closes_at(window, (), "UTC", opened + 5 * 3600) == opened + 5 * 3600


def test_fifth_weekday_skips_months_without_one_and_offset_may_leave_the_month() -> None:
    begin = at("2026-02-01 00:00")
    assert [local(t, "UTC")[:10] for t in starts("5th fri 20:00 1h", "UTC", begin, 2)] == ["2026-05-29", "2026-07-31"]
    assert local(starts("last fri +3d 20:00 1h", "UTC", at("2026-07-31 12:00"), 1)[0], "UTC") == "2026-08-03 20:00"


# -- blackouts

def test_blackout_days_are_closed_from_first_midnight_to_last() -> None:
    window, dark = parse_window("daily 22:00 4h"), ("2026-12-18/2027-01-04", "2026-12-16")
    zone = "Europe/Amsterdam"
    opened = at("2026-12-17 22:00", zone)
    assert is_open(window, dark, zone, opened)
    assert closes_at(window, dark, zone, opened) == at("2026-12-18 00:00", zone)
    reopened = next_opening(window, dark, zone, at("2026-12-18 00:00", zone))
    assert reopened == at("2027-01-05 00:00", zone), "the rest of the window that began on the last dark day"
    assert not is_open(window, dark, zone, at("2026-12-16 23:00", zone))


def test_a_ring_without_a_window_still_keeps_blackouts() -> None:
    always = parse_window("")
    assert is_open(always, (), "UTC", at("2026-12-20 00:00"))
    assert closes_at(always, (), "UTC", at("2026-12-20 00:00")) == math.inf
    assert next_opening(always, ("2026-12-20",), "UTC", at("2026-12-20 09:00")) == at("2026-12-21 00:00")
    assert closes_at(always, ("2026-12-20",), "UTC", at("2026-12-19 09:00")) == at("2026-12-20 00:00")


WINDOWS = st.sampled_from([
    "daily 22:00 4h", "daily 23:00-01:30", "sat 22:00 6h", "mon,wed 20:00-23:30", "2nd tue +1d 20:00 4h",
    "last fri 22:00 6h", "5th sun 02:30 90m", "2026-12-01 20:00 4h", "mon-fri 00:00-24:00", "",
    "daily 00:00 30h", "sun 02:15-02:45", "fri 18:00 3d",
])
DARK = st.lists(
    st.sampled_from(["2026-03-29", "2026-10-25", "2026-12-18/2027-01-04", "2026-11-30/2026-12-02"]), max_size=3
)


@given(WINDOWS, DARK, st.sampled_from(ZONES), st.integers(int(at("2026-01-01")), int(at("2027-02-01"))))
def test_openings_closings_and_is_open_agree(text: str, dark: list[str], zone: str, moment: int) -> None:
    window, now = parse_window(text), float(moment)
    opened = next_opening(window, dark, zone, now)
    assert opened >= now
    assert is_open(window, dark, zone, now) == (opened == now)
    if opened == math.inf:
        return
    closed = closes_at(window, dark, zone, opened)
    assert closed > opened
    assert is_open(window, dark, zone, opened)
    if opened > now:
        assert not is_open(window, dark, zone, (now + opened) / 2)
    if closed < math.inf:
        assert is_open(window, dark, zone, (opened + closed) / 2)
        assert is_open(window, dark, zone, closed - 1)
        day = datetime.fromtimestamp(opened, ZoneInfo(zone)).date()
        assert not any(first <= day <= last for first, last in map(parse_blackout, dark))


# -- the lint

@pytest.mark.parametrize(("first", "soak_hours", "second", "possible"), [
    ("2nd tue +1d 20:00 4h", 24, "2nd tue +3d 22:00 4h", True),
    ("2nd tue 20:00 4h", 24, "2nd tue 20:00 4h", False),  # one monthly window plus soak
    ("2nd tue 20:00 4h", 24, "2nd tue +1d 02:00 4h", False),
    ("2nd tue 20:00 4h", 24, "2nd tue +1d 20:00 4h", True),  # just, if the first ring is quick
    ("2nd tue 20:00 4h", 24 * 40, "daily 22:00 4h", False),  # soak longer than the cycle
    ("daily 22:00 4h", 24, "daily 22:00 4h", True),
    ("sat 22:00 6h", 48, "sat 22:00 6h", True),
    ("last fri 22:00 6h", 72, "1st mon 22:00 6h", True),
    ("2026-12-01 20:00 4h", 24, "2026-12-02 20:00 4h", True),
    ("2026-12-01 20:00 4h", 24, "2026-12-01 22:00 4h", False),
    ("2026-12-01 20:00 4h", 24, "sat 22:00 4h", True),
    ("", 24, "2nd tue 20:00 4h", True),
    ("2nd tue 20:00 4h", 24, "", True),
])
def test_can_follow(first: str, soak_hours: int, second: str, possible: bool) -> None:
    for zone in ("UTC", "Europe/Amsterdam"):
        assert can_follow(parse_window(first), soak_hours * 3600, parse_window(second), zone) is possible


def test_reach_tells_how_often_a_cycle_is_missed() -> None:
    found = reach(parse_window("2nd tue 20:00 4h"), 86400, parse_window("2nd wed 22:00 4h"))
    assert 0 < found.missed < found.cycles, "in months that begin on a Wednesday the 2nd Wednesday comes first"
    assert "opens 2026-04-14 20:00 UTC" in found.example
