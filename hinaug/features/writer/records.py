"""Records by a schema: whatever a model writes, what comes out fits, or is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hinaug.errors import ParameterError
from hinaug.features.writer.base import Writer, ask

KINDS = ("string", "integer", "number", "boolean", "array")


@dataclass(frozen=True)
class Record:
    """What a model's answer was read as.

    value: {field: value}, all fields of the schema and no other; None where it was refused.
    why: why it was refused, or what was repaired; empty for an answer that fits as it is.
    """

    value: dict[str, Any] | None
    why: str = ""


def read_records(
    writer: Writer, prompts: Sequence[str], schema: Mapping[str, Mapping[str, Any]]
) -> list[Record]:
    """One record a prompt, by a schema; an answer that does not fit is repaired or refused.

    A writer that has `records(prompts, json_schema)` is asked in that way, which can hold it to
    the schema word by word; any other writes freely. What it writes is checked in the same way.
    Repaired are text around the one JSON object, further fields (left out), numbers given as text,
    case of choices, and texts or lists that are too long (cut). Refused is all else: no object or
    several, a missing field, a value outside `enum`, `minimum` or `maximum`.

    Parameters
    ----------
    writer
        Any writer.
    prompts
        One question each; say in them what the fields mean.
    schema
        {field: rule}. A rule is a part of JSON Schema: "type" (one of "string", "integer",
        "number", "boolean", "array" of whole numbers), "enum", "minimum", "maximum", "maxLength",
        "maxItems", "nullable" (then the field may be left out).

    Example
    -------
    >>> schema = {"stars": {"type": "integer", "minimum": 1, "maximum": 5}}
    >>> answers = iter(['{"stars": "4", "id": 7}', "five stars"])
    >>> [r.value for r in read_records(lambda ps: [next(answers) for _ in ps], [""] * 2, schema)]
    [{'stars': 4}, None]
    """
    for name, rule in schema.items():
        if rule.get("type") not in KINDS:
            raise ParameterError(
                f"schema: {name!r} has type {rule.get('type')!r}; one of {KINDS}",
                asked=rule.get("type"),
                there=KINDS,
            )
    by_schema = getattr(writer, "records", None)
    if callable(by_schema):
        answers = ask(lambda ps: by_schema(ps, json_schema(schema)), prompts)
    else:
        answers = ask(writer, prompts)
    return [read_record(answer, schema) for answer in answers]


def json_schema(schema: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The schema of one record as JSON Schema.

    Example
    -------
    >>> json_schema({"name": {"type": "string"}})["additionalProperties"]
    False
    """
    fields: dict[str, Any] = {}
    for name, rule in schema.items():
        said = {key: value for key, value in rule.items() if key != "nullable"}
        if rule["type"] == "array":
            limits = {k: said.pop(k) for k in ("minimum", "maximum") if k in said}
            said["items"] = {"type": "integer", **limits}
        fields[name] = said
    required = [name for name, rule in schema.items() if not rule.get("nullable")]
    return {
        "type": "object",
        "properties": fields,
        "required": required,
        "additionalProperties": False,
    }


def read_record(text: str, schema: Mapping[str, Mapping[str, Any]]) -> Record:
    """The record that a text holds, by a schema, see `read_records`."""
    found, repaired = _only_object(text)
    if found is None:
        return Record(None, "no single JSON object")
    value: dict[str, Any] = {}
    notes = ["text around the object"] if repaired else []
    if set(found) - set(schema):
        notes.append("fields outside the schema")
    for name, rule in schema.items():
        given = found.get(name)
        if given is None:
            if not rule.get("nullable"):
                return Record(None, f"no {name}")
            value[name] = None
            continue
        kept, note = _fitted(given, rule)
        if kept is None:
            return Record(None, f"{name}: {note}")
        value[name] = kept
        notes += [f"{name}: {note}"] if note else []
    return Record(value, "; ".join(notes))


def _only_object(text: str) -> tuple[dict[str, Any] | None, bool]:
    """The one JSON object in a text, and whether other text stands around it."""
    decoder, at = json.JSONDecoder(), text.find("{")
    found: list[tuple[dict[str, Any], int, int]] = []
    while at >= 0 and len(found) < 2:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found.append((value, at, end))
        at = text.find("{", end)
    if len(found) != 1:
        return None, False
    value, start, end = found[0]
    return value, bool(text[:start].strip() or text[end:].strip())


def _fitted(given: Any, rule: Mapping[str, Any]) -> tuple[Any, str]:
    """A value as the rule wants it, and what was repaired; (None, why) where it cannot be."""
    kind = rule["type"]
    value, note = _of_kind(given, kind)
    if value is None:
        return None, f"no {kind}"
    if kind == "array":
        return _fitted_list(value, rule, note)
    if "enum" in rule:
        same = {str(choice).casefold(): choice for choice in rule["enum"]}
        chosen = same.get(str(value).casefold().strip())
        note = note or ("" if chosen == value else "case")
        return (chosen, note) if chosen is not None else (None, "none of the choices")
    if kind == "string":
        return _fitted_text(value, rule, note)
    return (value, note) if _inside(value, rule) else (None, "out of range")


def _of_kind(given: Any, kind: str) -> tuple[Any, str]:
    """The value as that kind, None where it is none; and "type" where it came as another."""
    if kind in ("string", "array"):
        return (given if isinstance(given, str if kind == "string" else list) else None), ""
    if kind == "boolean":
        said = {"true": True, "false": False}.get(str(given).casefold())
        return said, "" if isinstance(given, bool) else "type"
    number = _number(given, kind == "integer")
    return number, "type" if isinstance(given, str) else ""


def _number(given: Any, whole: bool) -> float | int | None:
    """A finite number, a whole one where it must be; None for anything else."""
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(given, bool) or not np.isfinite(number):
        return None
    if whole:
        return int(number) if number == int(number) else None
    return number


def _fitted_list(value: list, rule: Mapping[str, Any], note: str) -> tuple[Any, str]:
    whole = [_of_kind(item, "integer")[0] for item in value]
    good = [item for item in dict.fromkeys(whole) if item is not None and _inside(item, rule)]
    kept = good[: rule.get("maxItems", len(good))]
    return (
        (kept, note or ("" if kept == value else "items"))
        if kept
        else (None, "no item that is there")
    )


def _fitted_text(value: str, rule: Mapping[str, Any], note: str) -> tuple[Any, str]:
    kept = " ".join(value.split())
    longest = rule.get("maxLength")
    if longest is not None and len(kept) > longest:
        kept = cut(kept, longest)
    if not kept:
        return None, "empty"
    return kept, note or ("" if kept == value else "text cut or tidied")


def cut(text: str, longest: int) -> str:
    """A text of at most so many characters, cut after a sentence, else after a word.

    Example
    -------
    >>> cut("It hums. It is loud.", 12)
    'It hums.'
    """
    if len(text) <= longest:
        return text
    short = text[: longest + 1]
    ends = [short.rfind(mark) + 1 for mark in (". ", "! ", "? ")]
    if max(ends) > 0:
        return short[: max(ends)]
    space = short.rfind(" ")
    return short[:space] if space > 0 else text[:longest]


def _inside(value: float, rule: Mapping[str, Any]) -> bool:
    return rule.get("minimum", value) <= value <= rule.get("maximum", value)
