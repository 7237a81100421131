"""A server that fails in every way, on this machine: tries, waits, caps, and what is never shown."""

import copy
import itertools
import json
import logging
import pickle
import threading
import time
import traceback
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hinaug.errors import ParameterError, TextLeavesWarning, WriterError
from hinaug.features.writer import HTTPWriter, ReplayWriter, logged

SECRET = "sk-never-to-be-seen-0123456789"


def answer(text, used=True):
    said = {"choices": [{"message": {"content": text}}]}
    if used:
        said["usage"] = {"prompt_tokens": 5, "completion_tokens": 3}
    return json.dumps(said).encode()


class Stub(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body, time.monotonic()))
        step = self.server.script.pop(0) if self.server.script else "good"
        getattr(self, f"do_{step}")(body["messages"][-1]["content"])

    def say(self, status, data, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_good(self, prompt):
        self.say(200, answer(f"about {prompt}"))

    def do_uncounted(self, prompt):
        self.say(200, answer(f"about {prompt}", used=False))

    def do_busy(self, prompt):
        self.say(429, b"slow down", Retry_After="0.05")

    def do_broken(self, prompt):
        self.say(500, b"oops", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")

    def do_refused(self, prompt):
        self.say(401, f"bad key {self.headers['Authorization']}".encode())

    def do_moved(self, prompt):
        self.say(307, b"", Location=f"http://127.0.0.1:{self.server.server_port}/elsewhere")

    def do_nonsense(self, prompt):
        self.say(200, b"<html>")

    def do_empty(self, prompt):
        self.say(200, b'{"choices": []}')

    def do_torn(self, prompt):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"cho')

    def do_hang(self, prompt):
        self.server.stop.wait(2)

    def do_drip(self, prompt):
        data = answer(f"about {prompt}")
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for byte in data:
            if self.server.stop.wait(0.05):
                return
            self.wfile.write(bytes([byte]))

    def do_echo(self, prompt):
        self.say(500, f"trace: {dict(self.headers)}".encode())

    def do_slow(self, prompt):
        self.server.stop.wait(0.1)
        self.do_good(prompt)

    def do_slam(self, prompt):
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    made.seen, made.script, made.stop, made.daemon_threads = [], [], threading.Event(), True
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.stop.set()
    made.shutdown()
    made.server_close()
    thread.join()


def writer(server, host="127.0.0.1", **options):
    url = f"http://{host}:{server.server_port}/v1/"
    return HTTPWriter(url, "m", **{"wait": 0.01, "timeout": 5, **options})


def test_it_asks_as_the_interface_says(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", SECRET)
    model = writer(server, key="MY_KEY", system="be brief", max_tokens=9)
    assert model(["x", "y"]) == ["about x", "about y"]
    path, headers, body, _ = server.seen[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "x"},
        ],
        "max_tokens": 9,
        "temperature": 0.0,
    }
    assert (model.usage.prompt_tokens, model.usage.answer_tokens) == (10, 6)


@pytest.mark.parametrize("failure", ["busy", "broken", "nonsense", "empty", "torn", "slam", "hang"])
def test_a_failed_try_is_repeated(server, failure):
    server.script = [failure, failure]
    model = writer(server, timeout=0.2 if failure == "hang" else 5)
    assert model(["x"]) == ["about x"]
    assert (model.usage.requests, model.usage.retries) == (3, 2)


def test_a_server_that_sends_a_byte_at_a_time_runs_out_of_time(server):
    server.script = ["drip"]
    model = writer(server, timeout=0.3)
    started = time.monotonic()
    assert model(["x"]) == ["about x"]
    assert model.usage.requests == 2
    assert time.monotonic() - started < 3  # all of it would take five seconds


def test_it_waits_as_long_as_it_is_told_and_twice_as_long_each_time(server):
    server.script = ["busy", "broken", "broken"]
    writer(server, wait=0.02)(["x"])
    times = [seen[3] for seen in server.seen]
    waits = [b - a for a, b in itertools.pairwise(times)]
    assert waits[0] >= 0.05
    assert waits[1] >= 0.04
    assert waits[2] >= 0.08


def test_tries_end(server):
    server.script = ["broken"] * 9
    model = writer(server, retries=2)
    with pytest.raises(WriterError) as caught:
        model(["x"])
    assert caught.value.there.requests == 3
    assert model.usage.prompt_tokens == 0  # a status of the server's own costs nothing


def test_a_server_that_is_not_there(server):
    free = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    port = free.server_port
    free.server_close()
    with pytest.raises(WriterError):
        HTTPWriter(f"http://127.0.0.1:{port}", "m", retries=1, wait=0.0)(["x"])


@pytest.mark.parametrize(("failure", "status"), [("refused", 401), ("moved", 307)])
def test_other_statuses_are_errors_at_once_and_show_no_key(server, monkeypatch, failure, status):
    monkeypatch.setenv("MY_KEY", SECRET)
    server.script = [failure]
    model = writer(server, key="MY_KEY")
    with pytest.raises(WriterError) as caught:
        model(["x"])
    assert caught.value.asked == status
    assert len(server.seen) == 1
    for shown in (str(caught.value), repr(model), repr(vars(model)), repr(pickle.dumps(model))):
        assert SECRET not in shown


def test_a_key_that_the_server_sends_back_is_nowhere(server, monkeypatch, tmp_path, caplog, capsys):
    monkeypatch.setenv("MY_KEY", SECRET)
    server.script = ["echo", "good", "echo", "echo"]
    model = logged(writer(server, key="MY_KEY", retries=1), tmp_path / "log")
    with caplog.at_level(logging.DEBUG), pytest.raises(WriterError) as caught:
        model(["x", "y"])
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    shown += str(capsys.readouterr()) + (tmp_path / "log").read_text("utf-8")
    assert "about x" in shown
    assert "***" in shown
    assert SECRET not in shown


def test_no_key_in_the_environment_or_in_the_address(server, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ParameterError) as caught:
        writer(server, key="MY_KEY")(["x"])
    assert caught.value.asked == "MY_KEY"
    for url in ("ftp://x/v1", "localhost:8000", "https://me:secret@host/v1", None):
        with pytest.raises(ParameterError):
            HTTPWriter(url, "m")
    with pytest.raises(ParameterError):
        HTTPWriter("http://localhost", "m", most_cost=1.0)


def test_a_cap_is_never_passed(server):
    model = writer(server, most_tokens=200, max_tokens=60)
    with pytest.raises(WriterError) as caught:
        model(["x"] * 50)
    assert caught.value.asked == 200
    spent = model.usage.prompt_tokens + model.usage.answer_tokens
    assert 8 <= spent == 8 * len(server.seen) <= 200
    assert 200 - spent < 1 + 64 + 60  # it goes on as long as the next one surely fits


def test_a_cap_on_cost_counts_what_may_have_been_written(server):
    server.script = ["torn", "uncounted", "good"]
    model = writer(server, price=(1e6, 2e6), most_cost=1e9, max_tokens=10)
    model(["x", "y"])
    most = (1 + 64) + 2 * 10
    assert model.usage.cost == pytest.approx(2 * most + 5 + 2 * 3)


def test_requests_a_minute(server):
    started = time.monotonic()
    writer(server, per_minute=60 / 0.05)(["a", "b", "c", "d"])
    assert time.monotonic() - started >= 0.15


def test_several_at_a_time_keep_their_order(server):
    prompts = [f"p{i}" for i in range(20)]
    model = writer(server, batch_size=4)
    assert model(prompts) == [f"about {prompt}" for prompt in prompts]
    assert model.usage.requests == 20
    assert copy.deepcopy(model) is model


def test_after_a_break_nothing_is_asked_twice(server, tmp_path):
    server.script = ["good", "good", "refused"]
    prompts = ["a", "b", "c", "d"]
    with pytest.raises(WriterError):
        logged(writer(server), tmp_path / "log")(prompts)
    said = logged(writer(server), tmp_path / "log")(prompts)
    assert [seen[2]["messages"][0]["content"] for seen in server.seen] == ["a", "b", "c", "c", "d"]
    assert ReplayWriter(tmp_path / "log")(prompts) == said


def test_after_a_break_of_several_at_a_time_nothing_is_paid_twice(server, tmp_path):
    server.script = ["slow", "refused", "slow", "slow"]
    prompts = [f"p{i}" for i in range(9)]
    model = writer(server, batch_size=4)
    with pytest.raises(WriterError) as caught:
        logged(model, tmp_path / "log")(prompts)
    assert caught.value.asked == 401
    said = logged(writer(server, batch_size=4), tmp_path / "log")(prompts)
    assert said == [f"about {prompt}" for prompt in prompts]
    asked = [seen[2]["messages"][0]["content"] for seen in server.seen]
    assert len(asked) == len(prompts) + 1  # the refused one, and no other, is asked twice
    assert set(asked) == set(prompts)


def test_texts_that_leave_the_machine_are_told_of_once(server):
    model = writer(server, host="0.0.0.0")
    with pytest.warns(TextLeavesWarning):
        model(["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(["y"])
        writer(server)(["z"])
