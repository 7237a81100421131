"""One Amazon review record, in the fields of 2014, 2018 or 2023, as one row."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hinaug.datasets.amazon_values import identity, number, text
from hinaug.errors import ParameterError

NEW = {  # a record that says user_id rather than reviewerID has the fields of 2023
    "overall": "rating",
    "reviewText": "text",
    "summary": "title",
    "vote": "helpful_vote",
    "verified": "verified_purchase",
    "unixReviewTime": "timestamp",
}
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "y": True, "n": False}
_LATEST = 1e11  # in seconds the year 5138, in milliseconds 1973: what lies above is milliseconds


def review(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as a row; raises ValueError for one that names no user or no item or has an odd
    number.
    """
    new = "reviewerID" not in record and "user_id" in record

    def field(name: str) -> Any:
        return record[NEW[name]] if new and NEW[name] in record else record.get(name)

    user = identity(record.get("user_id" if new else "reviewerID"))
    item = identity(record.get("parent_asin")) or identity(record.get("asin"))
    if not user or not item:
        raise ParameterError(f"no {'asin' if user else 'user_id' if new else 'reviewerID'}")
    yes, total = _votes(record.get("helpful"), field("vote"))
    verified = field("verified")
    return {
        "user": user,
        "item": item,
        "time": _time(field("unixReviewTime"), record.get("reviewTime")),
        "rating": number(field("overall"), "the rating"),
        "text": text(field("reviewText")),
        "summary": text(field("summary")),
        "helpful_yes": yes,
        "helpful_total": total,
        "verified": _TRUTH.get(str(verified).strip().lower()),
    }


def _votes(helpful: Any, vote: Any) -> tuple[int | None, int | None]:
    """2014: `helpful` is [yes, all], in CSV as text; 2018: `vote` is text such as "1,234", absent
    for none; 2023: a number.
    """
    parts = re.findall(r"\d+(?:\.\d+)?", helpful) if isinstance(helpful, str) else helpful
    if isinstance(parts, list | tuple):
        found = [n for p in parts if (n := number(p, "helpful")) is not None]
        if len(found) == 2:
            return _count(found[0]), _count(found[1])
        if found:
            raise ParameterError(f"helpful is {helpful!r}, expected [yes, all]")
    vote = number(vote.replace(",", "") if isinstance(vote, str) else vote, "the number of votes")
    return None if vote is None else _count(vote), None


def _count(value: float) -> int | None:
    return int(value) if 0 <= value < 1e12 else None  # below 0 or beyond all measure is no count


def _time(stamp: Any, day: Any) -> int | None:
    """Seconds since 1970, from seconds, milliseconds or, without a stamp, a day such as "02 28,
    2014".
    """
    seconds = number(stamp, "the time stamp")
    if seconds is not None:
        seconds = seconds / 1000 if abs(seconds) > _LATEST else seconds
        if abs(seconds) > _LATEST:
            raise ParameterError(
                f"the time stamp is {stamp!r}, expected seconds or milliseconds since 1970"
            )
        return math.floor(seconds)
    found = re.fullmatch(r"\s*(\d{1,2}) (\d{1,2}), (\d{4})\s*", str(day))
    return (
        int(datetime(int(found[3]), int(found[1]), int(found[2]), tzinfo=UTC).timestamp())
        if found
        else None
    )
