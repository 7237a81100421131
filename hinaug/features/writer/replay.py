"""Prompts and answers in a file: so that nothing is asked twice, and all can be made again without
the model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hinaug.errors import StoreError, WriterError
from hinaug.features.writer.base import Choices, Writer, ask, lists_of, weighs
from hinaug.progress import track

AT_ONCE = 16  # prompts between two writes, where the writer has no batch_size


@dataclass
class ReplayWriter:
    """A writer whose answers stand in a file; it needs no model, and gives the same bytes each
    time.

    The file holds one JSON object a line: "prompt", "answer" and their sha256, as `logged` writes
    them. Answers of any other model can be put there: "prompt" and "answer" are enough. Where a
    line has "sha256", it must fit the line, so that a file that was changed by hand is noticed.

    Parameters
    ----------
    file
        The path of the file. A last line without an end, from a break, is left out.

    Raises WriterError for a prompt that is not in the file: `asked` is the prompt, `there` the
    number of prompts that are. Raises StoreError for a file that cannot be read as such lines.

    Example
    -------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "answers.jsonl"
    >>> written = logged(lambda prompts: [p[::-1] for p in prompts], file)(["abc"])
    >>> ReplayWriter(file)(["abc"]) == written == ["cba"]
    True
    """

    file: Any
    _known: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    def __call__(self, prompts: list[str]) -> list[str]:
        """The answers in the file, one a prompt."""
        return [self._get(_key(prompt), prompt) for prompt in prompts]

    @property
    def likelihoods(self) -> Callable[[list[str], Choices], np.ndarray]:
        """Gives the log-likelihoods in the file; only if the file has any."""
        if not any(isinstance(answer, list) for answer in self._answers().values()):
            raise AttributeError("likelihoods")
        return self._likelihoods

    def _likelihoods(self, prompts: list[str], choices: Choices) -> np.ndarray:
        lists = lists_of(choices, len(prompts))
        rows = [self._get(_key(p, c), p) for p, c in zip(prompts, lists, strict=True)]
        return np.array(rows, np.float64)

    def _answers(self) -> dict[str, Any]:
        if self._known is None:
            self._known = dict(_lines(Path(self.file)))
        return self._known

    def _get(self, key: str, prompt: str) -> Any:
        known = self._answers()
        if key not in known:
            raise WriterError(
                f"{self.file}: no answer to the prompt {prompt[:80]!r}...; there are "
                f"{len(known):,}. Prompts follow from the graph, the columns and the seed: "
                "use those with which the file was made, or ask the model through logged()",
                asked=prompt,
                there=len(known),
            )
        return known[key]

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "_known": None}


def logged(writer: Writer, file: Any) -> Logged:
    """The same writer, with each prompt and answer put into a file.

    What the file already holds is not asked again, so work goes on after a break where it stopped.
    A prompt has one answer: asked twice, it is written once. Each answer is on disk before the next
    prompts are asked; `batch_size` of the writer says how many prompts go together. A writer with
    `stream(prompts)`, such as HTTPWriter, has each answer on disk as soon as it comes.

    writer: any writer; where it has `likelihoods` or `records`, so has the result.
    file: a path, made if it is not there. Nothing else may write to it at the same time.
    """
    return Logged(writer, file)


class Logged:
    """A writer that keeps its answers in a file; made by `logged`."""

    def __init__(self, writer: Writer, file: Any) -> None:
        self.writer, self.file = writer, Path(file)
        self._known: dict[str, Any] | None = None

    def __call__(self, prompts: list[str]) -> list[str]:
        """The answers, from the file where it has them."""
        stream = getattr(self.writer, "stream", None)
        if callable(stream):
            return self._answered(prompts, lambda missing: _streamed(stream, missing))
        return self._answered(prompts, lambda missing: _in_parts(self.writer, missing, self.writer))

    @property
    def records(self) -> Callable[[list[str], dict[str, Any]], list[str]]:
        """As the writer's own, from the file where it has them; only if the writer has any."""
        by_schema = self.writer.records  # type: ignore[attr-defined]

        def records(prompts: list[str], schema: dict[str, Any]) -> list[str]:
            def held(part: list[str]) -> list[str]:
                return by_schema(part, schema)

            return self._answered(prompts, lambda missing: _in_parts(held, missing, self.writer))

        return records

    def _answered(
        self, prompts: list[str], write: Callable[[list[str]], Iterator[dict[str, str]]]
    ) -> list[str]:
        """The answers; `write` gives those that are missing, by and by."""
        known = self._open()
        missing = [p for p in dict.fromkeys(prompts) if _key(p) not in known]
        for answers in write(missing):
            self._keep({_key(p): (p, None, answer) for p, answer in answers.items()})
        return [known[_key(p)] for p in prompts]

    def __deepcopy__(self, memo: Any) -> Logged:
        return self  # a file has one writer

    @property
    def likelihoods(self) -> Callable[[list[str], Choices], np.ndarray]:
        """As the writer's own, from the file where it has them; only if the writer has any."""
        if not weighs(self.writer):
            raise AttributeError("likelihoods")
        return self._likelihoods

    def _likelihoods(self, prompts: list[str], choices: Choices) -> np.ndarray:
        known, lists = self._open(), lists_of(choices, len(prompts))
        rows = {_key(p, c): (p, c) for p, c in zip(prompts, lists, strict=True)}
        missing = [key for key in rows if key not in known]
        for part in _parts(missing, self.writer):
            asked, offered = zip(*(rows[key] for key in part), strict=True)
            logs = self.writer.likelihoods(list(asked), list(offered))  # type: ignore[attr-defined]
            found = np.asarray(logs, np.float64).tolist()
            self._keep({k: (*rows[k], row) for k, row in zip(part, found, strict=True)})
        keys = [_key(p, c) for p, c in zip(prompts, lists, strict=True)]
        return np.array([known[key] for key in keys], np.float64)

    def _open(self) -> dict[str, Any]:
        """What the file holds; a torn last line is cut off."""
        if self._known is None:
            self._known = dict(_lines(self.file)) if self.file.exists() else {}
            self.file.parent.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(self.file)
        return self._known

    def _keep(self, answers: dict[str, tuple[str, list[str] | None, Any]]) -> None:
        lines = "".join(_line(*answer) + "\n" for answer in answers.values())
        with open(self.file, "ab") as stream:
            stream.write(lines.encode())
            stream.flush()
            os.fsync(stream.fileno())
        self._open().update({key: answer for key, (*_, answer) in answers.items()})


def _in_parts(write: Writer, prompts: list[str], writer: Any) -> Iterator[dict[str, str]]:
    """{prompt: answer} of as many prompts as the writer takes together, part after part."""
    for part in _parts(prompts, writer):
        yield dict(zip(part, ask(write, part), strict=True))


def _streamed(stream: Any, prompts: list[str]) -> Iterator[dict[str, str]]:
    """{prompt: answer} of one prompt after the other, as they come."""
    if prompts:
        for place, answer in track(stream(prompts), "writing", total=len(prompts)):
            yield {prompts[place]: answer}


def _parts(prompts: list[str], writer: Any) -> Iterator[list[str]]:
    size = int(getattr(writer, "batch_size", AT_ONCE))
    for at in track(range(0, len(prompts), size), "writing"):
        yield prompts[at : at + size]


def _key(prompt: str, choices: Sequence[str] | None = None) -> str:
    """What an answer is found by: the sha256 of the prompt and of the choices, if there are."""
    return _sha256(prompt if choices is None else [prompt, list(choices)])


def _sha256(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _line(prompt: str, choices: list[str] | None, answer: Any) -> str:
    said: dict[str, Any] = {"prompt": prompt}
    if choices is not None:
        said["choices"] = choices
    said["answer"] = answer
    said["sha256"] = [_key(prompt, choices), _sha256(answer)]
    return json.dumps(said, ensure_ascii=True)


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    """(key, answer) of each whole line of a file."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error})", asked=str(file)) from error
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            key, answer = _key(said["prompt"], said.get("choices")), said["answer"]
            fits = said.get("sha256", [key, _sha256(answer)]) == [key, _sha256(answer)]
        except (ValueError, KeyError, TypeError, AttributeError):
            fits = False
        if not fits:
            raise StoreError(
                f"{file}, line {number}: no JSON object with 'prompt' and 'answer', or its sha256 "
                "is of other text; repair the line or leave it out",
                asked=number,
            )
        yield key, answer


def _cut_torn_line(file: Path) -> None:
    """The file without what stands after its last line end."""
    if file.exists():
        with open(file, "r+b") as stream:
            data = stream.read()
            stream.truncate(data.rfind(b"\n") + 1)
