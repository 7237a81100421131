"""Progress: quiet at first, then lines in a log or a bar on a terminal."""

import io
from types import SimpleNamespace

import pytest

from hinaug import progress
from hinaug.progress import track


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves, and a stderr that is no terminal."""
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=io.StringIO()))
    return now


def said(clock, items, seconds, **options):
    """The lines on stderr, where each item takes so many seconds."""
    progress.sys.stderr = io.StringIO()
    for _ in track(items, "fits", **options):
        clock[0] += seconds
    return progress.sys.stderr.getvalue().splitlines()


def test_what_is_quick_shows_nothing(clock):
    assert said(clock, range(10), 0.1) == []


def test_a_log_gets_a_line_every_ten_seconds(clock):
    assert said(clock, range(6), 4) == ["fits: 3 of 6, 12 s"]
    assert said(clock, iter(range(4)), 11) == [
        "fits: 1, 11 s",
        "fits: 2, 22 s",
        "fits: 3, 33 s",
    ]
    assert said(clock, iter(range(2)), 11, total=7)[-1] == "fits: 1 of 7, 11 s"


def test_it_can_be_turned_off(clock, monkeypatch):
    monkeypatch.setattr(progress, "enabled", False)
    assert said(clock, range(5), 60) == []


def test_a_terminal_gets_a_bar_that_goes_away(clock, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    opened = []

    def open_bar(meter, done):
        opened.append((meter.what, meter.total, done))
        meter.bar = Bar()

    class Bar:
        done, stopped = 0, False

        def update(self, task, completed):
            Bar.done = completed

        def stop(self):
            Bar.stopped = True

    monkeypatch.setattr(progress._Meter, "_open_bar", open_bar)
    items = track(range(5), "fits")
    for _ in range(4):
        next(items)
        clock[0] += 3
    items.close()  # as when the loop that uses them is left
    assert opened == [("fits", 5, 1)]
    assert (Bar.done, Bar.stopped) == (3, True)
