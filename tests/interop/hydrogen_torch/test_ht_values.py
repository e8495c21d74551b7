"""The same value in other spellings is the same value; anything else is refused with what it must be."""

from typing import Any

import pytest

from partsight.interop.hydrogen_torch import values
from partsight.interop.hydrogen_torch.values import backbone, name

METRIC = values.Choice({"ROC_AUC": "ROC_AUC", "F1": "F1"})


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (values.truth, "true", True), (values.truth, "True", True), (values.truth, "yes", True),
        (values.truth, "1", True), (values.truth, "False", False), (values.truth, "off", False),
        (values.truth, "0", False),
        (values.number, "1e-3", 0.001), (values.number, " 0.5 ", 0.5), (values.number, "3", 3.0),
        (values.whole, "32", 32), (values.whole, "32.0", 32), (values.whole, "-1", -1),
        (values.texts, ["0", "4"], ["0", "4"]), (values.texts, "[0, '1']", ["0", "1"]),
        (values.texts, "class", ["class"]), (values.texts, "None", []), (values.texts, ["a b", "None"], ["a b"]),
        (values.optional_text, "None", None), (values.optional_text, "null", None), (values.optional_text, "", None),
        (values.optional_text, "a", "a"),
        (METRIC, "roc auc", "ROC_AUC"), (METRIC, "ROC-AUC", "ROC_AUC"), (METRIC, "f1", "F1"),
        (values.Choices(values.Choice({"Horizontal Flip": "h", "HFlip": "h"})), ["horizontal_flip", "hflip"], ["h"]),
        (name, "93 resistors / line 2", "93_resistors_line_2"), (name, "../../etc", "etc"), (name, "Größe", "Größe"),
        (backbone, "tf_efficientnet_b0.ns_jft_in1k", "tf_efficientnet_b0.ns_jft_in1k"),
    ],
)  # fmt: skip
def test_a_value_is_read_whatever_its_spelling(kind: values.Kind, raw: Any, value: Any) -> None:
    read = kind(raw)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "raw", "reason"),
    [
        (values.truth, "perhaps", "must be true or false"), (values.truth, ["true"], "must be true or false"),
        (values.number, "many", "must be a number"), (values.number, "nan", "must be a number"),
        (values.number, "inf", "must be a finite number"), (values.number, {"a": "1"}, "must be a number"),
        (values.whole, "1.5", "must be a whole number"),
        (values.text, "None", "must be a text"), (values.text, ["a"], "must be a text"),
        (values.texts, {"a": "b"}, "must be a list of texts"), (values.texts, [["a"]], "must be a list of texts"),
        (METRIC, "ROC_AUK", "must be one of ROC_AUC, F1; did you mean ROC_AUC?"), (METRIC, ["F1"], "must be one of"),
        (backbone, "hf-hub:somebody/model", "must be the name of a timm model"),
        (backbone, "local-dir:/tmp/x", "must be the name of a timm model"),
        (name, "../..", "must hold a letter or a digit"),
    ],
)  # fmt: skip
def test_another_value_is_refused(kind: values.Kind, raw: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=r"must") as raised:
        kind(raw)
    assert reason in str(raised.value)
