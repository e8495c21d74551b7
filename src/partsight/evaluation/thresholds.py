"""Escape and overkill: bad parts that ship, good parts that do not, and how a threshold trades one for the other.

A part is bad if it has a label outside `good_classes`, and is called bad if such a label is predicted. So under
multilabel a part without labels is good.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from partsight.evaluation import groups
from partsight.evaluation.intervals import method_name, share_interval, wilson
from partsight.evaluation.predictions import probabilities
from partsight.evaluation.scored import scored
from partsight.evaluation.task import PredictionsError, Task

MOST_POINTS = 201
STEPS = 2000
"""Places from 0 to 1 at which `steps` puts a change: a chart has fewer pixels."""


def escape_overkill(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Both rates at the decisions of the table, two rows: `metric`, `rate`, `count`, `out_of`, `low`, `high`, `method`.

    escape_rate: `count` bad parts called good, `out_of` all bad ones; overkill_rate: good parts called bad, `out_of`
    all good ones. `low`, `high`, `method`: as in `intervals`. Without such parts a rate and its limits are NaN.
    Raises PredictionsError if the task names no good classes.
    """
    given, every_group = scored(table, task), groups.group_ids(table)
    bad, called_bad = _any_bad(given.targets, task), _any_bad(given.decisions, task)
    rows = []
    for name, parts, wrong in (("escape_rate", bad, ~called_bad), ("overkill_rate", ~bad, called_bad)):
        hits, of_groups = wrong[parts], every_group[parts]
        rate = float(hits.mean()) if len(hits) else float("nan")
        limits = share_interval(hits, of_groups)
        rows.append((name, rate, int(hits.sum()), len(hits), *limits, method_name("wilson", of_groups)))
    return pd.DataFrame(rows, columns=["metric", "rate", "count", "out_of", "low", "high", "method"])


def goodness(table: pd.DataFrame, task: Task) -> NDArray[np.float64]:
    """What is compared with the threshold, (N,) between 0 and 1; needs no labels.

    The probability of being good: the sum over the good classes. Under multilabel 1 - the largest probability of a bad
    class, which is not a probability of being good, but decides in the same way, as all labels share one threshold.
    Raises PredictionsError if the task names no good classes.
    """
    good = _good_columns(task)
    given = probabilities(table, task)
    if task.output == "multilabel":
        return np.asarray(1.0 - given[:, ~good].max(axis=1, initial=0.0), dtype=np.float64)
    return np.asarray(given[:, good].sum(axis=1).clip(0.0, 1.0), dtype=np.float64)


def table(table: pd.DataFrame, task: Task, also: Sequence[float] = ()) -> pd.DataFrame:
    """Escape and overkill for every threshold worth choosing, rising; a part ships when its goodness >= threshold.

    Columns: `threshold`; `escapes`, `bad`, `escape_rate`, `escape_low`, `escape_high`; `overkills`, `good`,
    `overkill_rate`, `overkill_low`, `overkill_high`. The limits are those of `escape_overkill`, for each threshold by
    itself.

    The thresholds lie halfway between goodnesses that occur, so that another program's rounding decides alike. Those
    that another one beats in one count and equals in the other are left out; the first lets all ship (0), the last none
    (above the highest goodness). If there are more than 201, 201 evenly spread by rank are kept. Those in `also`, such
    as the threshold in use, are always included.
    Raises PredictionsError if the task names no good classes.
    """
    thresholds = np.unique(np.concatenate([[0.0], _between(np.unique(goodness(table, task))), also]))
    bad, good = _bad_and_good(table, task)
    kept = _worth_choosing(bad.escapes(thresholds), good.overkills(thresholds))
    return _rates(bad, good, thresholds[np.union1d(kept, np.searchsorted(thresholds, also))])


def steps(table: pd.DataFrame, task: Task, also: Sequence[float] = ()) -> pd.DataFrame:
    """Both rates as the step functions of the threshold that they are, to be drawn; columns as in `table`, rising.

    A row holds from above the threshold of the row before up to and including its own. The first threshold is 0; at the
    last, 1 or just above, none ships. A change at a goodness is put at the last multiple of 1/2000 before it, so that
    many parts make few rows; at such multiples, and at those in `also`, the rates are exact.
    Raises PredictionsError if the task names no good classes.
    """
    scores = goodness(table, task)
    changes = np.minimum(np.floor(STEPS * scores) / STEPS, scores)  # the product may be rounded up
    last = max(1.0, float(np.nextafter(scores.max(initial=0.0), 2.0)))
    return _rates(*_bad_and_good(table, task), np.unique(np.concatenate([[0.0, last], changes, also])))


@dataclass(frozen=True)
class _Parts:
    """The bad or the good parts, by rising goodness."""

    goodness: NDArray[np.float64]
    groups: NDArray[np.int64]

    def escapes(self, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many ship at each threshold."""
        return len(self.goodness) - np.searchsorted(self.goodness, thresholds, side="left")

    def overkills(self, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many do not."""
        return np.searchsorted(self.goodness, thresholds, side="left")


def _bad_and_good(table: pd.DataFrame, task: Task) -> tuple[_Parts, _Parts]:
    scores = goodness(table, task)
    order = np.argsort(scores, kind="stable")
    bad = _any_bad(scored(table, task).targets, task)[order]
    scores, of_groups = scores[order], groups.group_ids(table)[order]
    return _Parts(scores[bad], of_groups[bad]), _Parts(scores[~bad], of_groups[~bad])


def _rates(bad: _Parts, good: _Parts, thresholds: NDArray[np.float64]) -> pd.DataFrame:
    """The columns of `table` at each of the thresholds."""
    missed = _limits(bad.escapes(thresholds), bad.groups[::-1])
    lost = _limits(good.overkills(thresholds), good.groups)
    rows = [(threshold, *one, *other) for threshold, one, other in zip(thresholds, missed, lost, strict=True)]
    escape = ["escapes", "bad", "escape_rate", "escape_low", "escape_high"]
    overkill = ["overkills", "good", "overkill_rate", "overkill_low", "overkill_high"]
    return pd.DataFrame(rows, columns=["threshold", *escape, *overkill])


def _between(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """For rising scores, the middle to the next one; of the last to 1, or just above 1."""
    following = np.append(scores[1:], max(1.0, np.nextafter(scores[-1], 2.0)))
    middle = (scores + following) / 2
    return np.where(middle > scores, middle, following)  # no number lies between neighbours


def _worth_choosing(escapes: NDArray[np.int64], overkills: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions, rising, of the thresholds kept. Escapes fall and overkills rise along both arrays."""
    better_after = np.append(np.diff(overkills) == 0, False)  # a higher threshold loses no more good parts
    better_before = np.insert(np.diff(escapes) == 0, 0, False)  # a lower one lets no more bad parts out
    useful = ~(better_after | better_before)
    useful[[0, -1]] = True
    kept = np.flatnonzero(useful)
    if len(kept) > MOST_POINTS:
        kept = kept[np.linspace(0, len(kept) - 1, MOST_POINTS).round().astype(np.int64)]
    return kept


def _good_columns(task: Task) -> NDArray[np.bool_]:
    """(C,): whether the class may ship."""
    if not task.good_classes:
        raise PredictionsError("escape and overkill need good_classes: the classes that may ship")
    return np.isin(np.array(task.classes, dtype=object), np.array(task.good_classes, dtype=object))


def _any_bad(labels: NDArray[np.int64], task: Task) -> NDArray[np.bool_]:
    """(N,): whether the labels, as numbers (N,) or as 0 and 1 (N, C), name a class that may not ship."""
    bad = ~_good_columns(task)
    if task.output == "multilabel":
        return np.asarray((labels[:, bad] == 1).any(axis=1), dtype=np.bool_)
    return bad[labels]


def _limits(counts: NDArray[np.int64], of_groups: NDArray[np.int64]) -> Iterator[tuple[int, int, float, float, float]]:
    """Count, number of parts, rate and its limits, for each count of wrong parts, the first ones of `of_groups`."""
    out_of = len(of_groups)
    fractions = groups.effective_fractions(of_groups) if out_of else np.ones(1)
    for count in counts.tolist():
        rate = count / out_of if out_of else float("nan")
        yield count, out_of, rate, *wilson(fractions[count] * count, fractions[count] * out_of)
