"""A writer behind HTTP: any server that speaks the chat completions of OpenAI's interface."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hinaug import checks
from hinaug.errors import ParameterError, TextLeavesWarning, WriterError

AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)  # statuses after which a try may succeed
MOST_BYTES = 16 << 20  # of an answer
LONGEST_WAIT = 120.0  # seconds between two tries, whatever the server asks for


class _Failed(Exception):
    """A try that may be repeated. billed: whether the server may have written something."""

    def __init__(self, why: str, after: float | None = None, billed: bool = False) -> None:
        super().__init__(why)
        self.after, self.billed = after, billed


@dataclass
class Usage:
    """What a server was asked so far.

    requests: tries, failed ones included. retries: tries after a failure. prompt_tokens,
    answer_tokens: as the server counts them; for a try without a count, the most that it can be.
    cost: by `price`.
    """

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float = 0.0


@dataclass
class HTTPWriter:
    """A language model behind an OpenAI-compatible server, asked by POST to
    `url`/chat/completions.

    A failed try (no connection, a timeout, a broken answer, status 408, 409, 425, 429 or 5xx) is
    repeated after `wait` seconds, then after twice as many and so on, or after what the server says
    in Retry-After. Any other status is an error at once. Redirects are refused, so that the key
    goes to no other host. Before each try the most that it can cost is set aside: a caller is told
    before a cap is passed, never after. Put `logged(writer, file)` around it, and work goes on
    after a break without asking, or paying, twice.

    Parameters
    ----------
    url
        The base address, such as "http://localhost:8000/v1".
    model
        The name that the server knows the model by.
    key
        The *name* of the environment variable that holds the key; None for a server without one.
        The key itself is never kept, shown or written.
    system
        What is said before each prompt.
    max_tokens
        The most tokens of an answer.
    temperature
        0 for the likeliest words. Servers do not promise the same answer twice: keep a log.
    timeout
        Seconds that a try may take.
    retries
        How often a failed try is repeated.
    wait
        Seconds before the first repetition.
    per_minute
        The most tries a minute; None for no limit.
    batch_size
        Requests at a time.
    most_tokens, most_cost
        Caps on all that this writer asks; None for none.
    price
        What a million tokens of prompts and of answers cost.

    Learned: `usage`, see `Usage`. Raises WriterError where all tries fail or a cap would be passed:
    `there` is then the usage so far. Warns once with TextLeavesWarning where the server is not on
    this machine.
    """

    url: str
    model: str
    key: str | None = None
    system: str | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    timeout: float = 60.0
    retries: int = 5
    wait: float = 1.0
    per_minute: float | None = None
    batch_size: int = 1
    most_tokens: int | None = None
    most_cost: float | None = None
    price: tuple[float, float] = (0.0, 0.0)
    usage: Usage = field(default_factory=Usage, init=False, repr=False)
    _told: bool = field(default=False, init=False, repr=False)
    _next: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_address(self.url)
        for name, least in (("max_tokens", 1), ("retries", 0), ("batch_size", 1)):
            checks.whole(getattr(self, name), f"HTTPWriter: {name}", least)
        for name in ("timeout", "wait", "per_minute", "most_tokens", "most_cost"):
            value = getattr(self, name)
            if value is not None and (not checks.is_number(value) or value < 0):
                raise ParameterError(f"HTTPWriter: {name}={value!r}: a number of at least 0")
        if self.most_cost is not None and not any(self.price):
            raise ParameterError("HTTPWriter: most_cost needs price=(prompts, answers)")
        self._lock = threading.Lock()

    def __call__(self, prompts: list[str]) -> list[str]:
        """One text a prompt, in their order."""
        found = dict(self.stream(prompts))
        return [found[i] for i in range(len(prompts))]

    def stream(self, prompts: list[str]) -> Iterator[tuple[int, str]]:
        """The place of a prompt and its text, each as soon as it is there.

        Where a request fails for good, those under way still end and are given; then comes the
        error. So whoever writes them down loses none that was paid for.
        """
        self._tell()
        token = self._secret()
        if self.batch_size == 1:
            return ((i, self._write(prompt, token)) for i, prompt in enumerate(prompts))
        return self._together(prompts, token)

    def _together(self, prompts: list[str], token: str | None) -> Iterator[tuple[int, str]]:
        """Several requests at a time, in the order in which they end."""
        places: dict[Future[str], int] = {}
        failed: list[BaseException] = []
        with ThreadPoolExecutor(self.batch_size) as pool:
            try:
                places.update(
                    (pool.submit(self._write, p, token), i) for i, p in enumerate(prompts)
                )
                for done in as_completed(places):
                    error = None if done.cancelled() else done.exception()
                    if error is not None:
                        failed.append(error)
                        _cancel(places)
                    elif not done.cancelled():
                        yield places[done], done.result()
            finally:
                _cancel(places)
        if failed:
            raise failed[0]

    def __deepcopy__(self, memo: Any) -> HTTPWriter:
        return self  # one count of what was spent, and one cap on it

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    # ---- before a request ------------------------------------------------------------------------

    def _tell(self) -> None:
        host = urlsplit(self.url).hostname or ""
        if not self._told and not _is_here(host):
            self._told = True
            warnings.warn(
                f"HTTPWriter: prompts, with texts of your graph in them, are sent to {host}",
                TextLeavesWarning,
                stacklevel=4,
            )

    def _secret(self) -> str | None:
        if self.key is None:
            return None
        secret = os.environ.get(self.key)
        if not secret:
            raise ParameterError(
                f"HTTPWriter: the environment variable {self.key!r} is not set; set it to the key "
                "of the server, or pass key=None",
                asked=self.key,
            )
        return secret

    def _reserve(self, prompt: str) -> tuple[int, int]:
        """Sets aside the most tokens that a try can use: a token has at least one byte."""
        most = (len(prompt.encode()) + len((self.system or "").encode()) + 64, self.max_tokens)
        with self._lock:
            tokens = self.usage.prompt_tokens + self.usage.answer_tokens + sum(most)
            cost = self.usage.cost + self._cost(*most)
            for name, cap, after in (
                ("most_tokens", self.most_tokens, tokens),
                ("most_cost", self.most_cost, cost),
            ):
                if cap is not None and after > cap:
                    raise WriterError(
                        f"HTTPWriter: the next request could pass {name}={cap}; so far "
                        f"{self.usage}. Raise the cap, or go on later from the file of logged()",
                        asked=cap,
                        there=self.usage,
                    )
            self._spend(*most)
        return most

    def _spend(self, prompt_tokens: int, answer_tokens: int) -> None:
        self.usage.prompt_tokens += prompt_tokens
        self.usage.answer_tokens += answer_tokens
        self.usage.cost += self._cost(prompt_tokens, answer_tokens)

    def _cost(self, prompt_tokens: int, answer_tokens: int) -> float:
        return (prompt_tokens * self.price[0] + answer_tokens * self.price[1]) / 1e6

    def _take_turn(self) -> None:
        """Waits until the next request may go."""
        if not self.per_minute:
            return
        with self._lock:
            now = time.monotonic()
            mine = max(self._next, now)
            self._next = mine + 60.0 / self.per_minute
        time.sleep(mine - now)

    # ---- a request -------------------------------------------------------------------------------

    def _write(self, prompt: str, token: str | None) -> str:
        wait = self.wait
        for attempt in range(self.retries + 1):
            most = self._reserve(prompt)
            self._take_turn()
            with self._lock:
                self.usage.requests += 1
                self.usage.retries += attempt > 0
            try:
                text, used = self._post(prompt, token)
            except _Failed as failure:
                if not failure.billed:
                    self._settle(most, (0, 0))
                if attempt == self.retries:
                    raise WriterError(
                        f"HTTPWriter: {self.url} gave no answer in {attempt + 1} tries; the last: "
                        f"{failure}. Try later; with logged() work goes on where it stopped",
                        asked=self.url,
                        there=self.usage,
                    ) from None
                time.sleep(min(LONGEST_WAIT, wait if failure.after is None else failure.after))
                wait *= 2
            except WriterError:
                self._settle(most, (0, 0))
                raise
            else:
                self._settle(most, most if used is None else used)
                return text
        raise AssertionError("not reached")

    def _settle(self, set_aside: tuple[int, int], used: tuple[int, int]) -> None:
        with self._lock:
            self._spend(used[0] - set_aside[0], used[1] - set_aside[1])

    def _post(self, prompt: str, token: str | None) -> tuple[str, tuple[int, int] | None]:
        """The text of an answer, and the tokens of the prompt and of the answer."""
        said = [{"role": "system", "content": self.system}] if self.system else []
        body = {
            "model": self.model,
            "messages": [*said, {"role": "user", "content": prompt}],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        headers = {"Content-Type": "application/json", "User-Agent": "hinaug"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(
            self.url.rstrip("/") + "/chat/completions", json.dumps(body).encode(), headers
        )
        return _answer(lambda: self._open(request), token)

    def _open(self, request: urllib.request.Request) -> bytes:
        here = _is_here(urlsplit(self.url).hostname or "")
        proxies = [urllib.request.ProxyHandler({})] if here else []
        opener = urllib.request.build_opener(_NoRedirect, *proxies)
        end = time.monotonic() + self.timeout
        with opener.open(request, timeout=self.timeout) as response:
            return _body(response, end)


def _cancel(requests: Iterable[Future[str]]) -> None:
    """Takes back the requests that are not under way."""
    for request in requests:
        request.cancel()


def _body(response: Any, end: float) -> bytes:
    """What a server sends until a moment; it may send a byte at a time, each before its timeout."""
    data = bytearray()
    while len(data) < MOST_BYTES and (part := response.read1(1 << 16)):
        data += part
        if time.monotonic() > end:
            raise TimeoutError("the answer did not end in time")
    return bytes(data)


def _check_address(url: Any) -> None:
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ParameterError(
            "HTTPWriter: url: an address such as 'https://host/v1' is needed, without a name or "
            f"key in it; got {'one with @' if '@' in str(url) else repr(url)}",
            asked=parts.scheme,
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect stays what it is: a status that is no success."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _answer(send: Callable[[], bytes], token: str | None) -> tuple[str, tuple[int, int] | None]:
    """What a server says; _Failed where another try may help, WriterError where none does."""
    try:
        data = send()
    except urllib.error.HTTPError as error:
        with error:
            said = _redacted(error.read(2000).decode("utf-8", "replace"), token)
        if error.code in AGAIN:
            after = _seconds(error.headers.get("Retry-After"))
            raise _Failed(f"status {error.code}, {said[:200]!r}", after) from None
        raise WriterError(
            f"HTTPWriter: status {error.code}, {said[:300]!r}; see to the address, the model and "
            "the key",
            asked=error.code,
        ) from None
    except (OSError, http.client.HTTPException) as error:
        # before the request is sent, urllib raises URLError; after it, the server may have written
        billed = not isinstance(error, urllib.error.URLError)
        raise _Failed(_redacted(f"{type(error).__name__}: {error}", token), None, billed) from None
    return _read(data)


def _read(data: bytes) -> tuple[str, tuple[int, int] | None]:
    try:
        said = json.loads(data)
        text = said["choices"][0]["message"]["content"]
        if not isinstance(text, str):
            raise TypeError(type(text).__name__)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _Failed(
            f"an answer without choices[0].message.content ({type(error).__name__})", None, True
        ) from None
    used = said.get("usage") if isinstance(said.get("usage"), dict) else {}
    counts = [used.get(name) for name in ("prompt_tokens", "completion_tokens")]
    known = [count for count in counts if isinstance(count, int) and count >= 0]
    return text, (known[0], known[1]) if len(known) == 2 else None


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None  # a date: the usual wait will do


def _redacted(text: str, token: str | None) -> str:
    return text.replace(token, "***") if token else text


def _is_here(host: str) -> bool:
    """Whether a host is this machine by its name or number."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
