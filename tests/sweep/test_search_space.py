"""A search space is what the sweep syntax of Hydra's command line says, for settings of their own types."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from partsight.errors import Problems
from partsight.sweep.search import space


def test_lists_ranges_and_intervals_are_drawn_from_and_the_rest_stays() -> None:
    read = space.read(
        {},
        [
            "usecase=casting",
            "backbone=resnet18,mobilenetv2_100",
            "head=choice(linear,gem)",
            "training.learning_rate=tag(log,interval(1e-4,1e-2))",
            "training.label_smoothing=interval(0,0.5)",
            "training.epochs=interval(2,8)",
            "training.batch_size=range(8,33,8)",
            "head.dropout=range(0,0.5,0.1)",
            "++augmentation.train.Affine.rotate=int(interval(0,90))",
            "~augmentation.train.HorizontalFlip",
        ],
    )
    assert read.fixed == ("usecase=casting", "~augmentation.train.HorizontalFlip")
    assert read.drawn == {
        "backbone": CategoricalDistribution(["resnet18", "mobilenetv2_100"]),
        "head": CategoricalDistribution(["linear", "gem"]),
        "training.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "training.label_smoothing": FloatDistribution(0, 0.5),
        "training.epochs": IntDistribution(2, 8),  # a setting of whole numbers
        "training.batch_size": IntDistribution(8, 32, step=8),
        "head.dropout": FloatDistribution(0, 0.4, step=0.1),  # as in Python, the end is not in a range
        "++augmentation.train.Affine.rotate": IntDistribution(0, 90),
    }


@pytest.mark.parametrize("step", [0.3, 0.15, 0.35, 0.1])
def test_no_value_of_a_range_is_lost(step: float) -> None:
    """Hydra adds the stored 0.3 up to 0.8999999999999999, which Optuna would round down to 0.6."""
    drawn = space.read({}, [f"head.dropout=range(0,1,{step})"]).drawn["head.dropout"]
    assert isinstance(drawn, FloatDistribution)
    assert drawn.high == pytest.approx(step * int(0.9999 / step))
    down = space.read({}, [f"head.dropout=range(0.9,0,-{step})"]).drawn["head.dropout"]
    assert isinstance(down, FloatDistribution)
    assert (down.low, down.high) == (pytest.approx(0.9 - step * int(0.8999 / step)), 0.9)


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_a_file_may_hold_the_space_and_the_command_line_wins(prefix: str) -> None:
    params = {"training.learning_rate": "tag(log, interval(1e-4, 1e-2))", "training.batch_size": "choice(8, 16)"}
    read = space.read(params, ["usecase=casting", f"{prefix}training.learning_rate=1e-3"])
    assert read.drawn == {"training.batch_size": CategoricalDistribution(["8", "16"])}
    assert read.fixed == ("usecase=casting", f"{prefix}training.learning_rate=1e-3")
    read = space.read(params, [f"{prefix}training.batch_size=32,64", f"{prefix}training.learning_rate=1e-3"])
    assert read.drawn == {f"{prefix}training.batch_size": CategoricalDistribution(["32", "64"])}


def test_what_is_added_may_be_changed_afterwards() -> None:
    read = space.read({"+augmentation.train.Blur.p": "0.1"}, ["augmentation.train.Blur.p=0.2,0.3"])
    assert read.overrides({"augmentation.train.Blur.p": "0.3"}) == [
        "+augmentation.train.Blur.p=0.1",
        "augmentation.train.Blur.p=0.3",
    ]


def test_what_is_checked_holds_each_choice_and_both_ends_and_may_be_drawn() -> None:
    corners = space.read({}, ["a=1", "backbone=x,y,z", "training.epochs=interval(2,8)"]).corners()
    assert corners == [
        ["a=1", "backbone=x", "training.epochs=2"],
        ["a=1", "backbone=y", "training.epochs=2"],
        ["a=1", "backbone=z", "training.epochs=2"],
        ["a=1", "backbone=x", "training.epochs=8"],
    ]


def test_texts_with_commas_and_quotes_come_out_as_they_went_in() -> None:
    read = space.read({}, ["head.hidden=[],[64,32]", "model.weights='a b','c=d'"])
    assert read.overrides({"head.hidden": "[64,32]", "model.weights": "'c=d'"}) == [
        "head.hidden=[64,32]",
        "model.weights='c=d'",
    ]
    assert read.drawn["model.weights"] == CategoricalDistribution(["'a b'", "'c=d'"])


def test_every_mistake_is_named() -> None:
    wrong = {
        "backbone=interval(0,1)": "is not a number",
        "head=shuffle(linear,gem)": "leave shuffle() out",
        "training.epochs=interval(2.5,8)": "takes whole numbers",
        "training.learning_rate=tag(log,interval(0,1))": "a log scale must start above 0",
        "training.weight_decay=tag(ln,interval(0,1))": "the only tag is tag(log, ...)",
        "training.batch_size=range(8,8)": "holds no value",
        "training.label_smoothing=interval(0.5,0.1)": "ends before it begins",
        "image.height=tag(log,range(32,64,8))": "Optuna has no steps on a log scale",
        "prediction.metric=F1,ROC_AUC": "cannot be searched",
        "usecase=casting,steel": "cannot be searched",
        "fold=0,1,2": "find the easiest one, so it cannot be searched; give one fold, and run the best trial with",
        "++repeat=range(0,3)": "cannot be searched",
        "seed=interval(1,9)": "cannot be searched",
        "data.fold_seed=range(0,9)": "cannot be searched",
        "data.share=interval(0.1,1)": "cannot be searched",
        "training.train_on_validation=false,true": "cannot be searched",
    }
    with pytest.raises(Problems) as caught:
        space.read({}, list(wrong))
    assert len(caught.value.problems) == len(wrong)
    for text, said in wrong.items():
        key = text.lstrip("+").split("=")[0]
        assert any(problem.startswith(key) and said in problem for problem in caught.value.problems), text


def test_a_search_without_anything_to_search_says_how() -> None:
    with pytest.raises(Problems, match=r"nothing to search.*interval"):
        space.read({}, ["usecase=casting"])
