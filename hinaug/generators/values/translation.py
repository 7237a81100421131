"""Texts translated there and back by programs of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from hinaug.errors import ParameterError, WriterError


@dataclass
class BackTranslation:
    """Texts in other words by a translation into another language and back.

    Two programs are called that read one text a line and write one a line, such as those of
    apertium (Forcada et al., "Apertium", Machine Translation 25, 2011), where it is installed. Use
    it in `ParaphrasedText`, which refuses a text whose numbers, negations or names have changed.

    Parameters
    ----------
    there, back
        The two commands, each a list of a program and its arguments. No shell is run.
    seconds
        How long each of them may take.

    Raises ParameterError where a program is not installed, and WriterError where one fails, takes
    too long, or writes more or fewer lines than it was given.

    Example
    -------
    >>> translate = BackTranslation(["sed", "s/loud/alto/"], ["sed", "s/alto/noisy/"])
    >>> translate(["a loud amp"])
    ['a noisy amp']
    """

    there: Sequence[str] = ("apertium", "-u", "eng-spa")
    back: Sequence[str] = ("apertium", "-u", "spa-eng")
    seconds: float = 600.0

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Each text there and back, on one line."""
        lines = [" ".join(text.split()) for text in texts]
        if not lines:
            return []
        return self._run(self.back, self._run(self.there, lines))

    def _run(self, command: Sequence[str], lines: list[str]) -> list[str]:
        name = " ".join(command)
        sent = "".join(line + "\n" for line in lines)
        try:
            done = subprocess.run(
                list(command), input=sent, capture_output=True, text=True, encoding="utf-8",
                timeout=self.seconds, check=True,
            )  # fmt: skip
        except (FileNotFoundError, PermissionError) as error:
            raise ParameterError(
                f"BackTranslation: the program {command[0]!r} is not installed; install it (for "
                "apertium the system package apertium-eng-spa), or pass other commands",
                asked=command[0],
            ) from error
        except subprocess.TimeoutExpired as error:
            raise WriterError(
                f"BackTranslation: {name!r} took more than {self.seconds:g} s for {len(lines):,} "
                "texts; pass fewer texts or more seconds",
                asked=self.seconds,
            ) from error
        except subprocess.CalledProcessError as error:
            raise WriterError(
                f"BackTranslation: {name!r} ended with {error.returncode}: {error.stderr.strip()}",
                asked=name,
            ) from error
        made = done.stdout.removesuffix("\n").split("\n")
        if len(made) != len(lines):
            raise WriterError(
                f"BackTranslation: {name!r} wrote {len(made):,} lines for {len(lines):,}; one a "
                "text is needed",
                asked=len(made),
                there=len(lines),
            )
        return made
