"""Whole runs with the settings of `training`: what they change, and what they leave alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import mlflow_runs, run, tree

from partsight import check
from partsight.config import Config
from partsight.data.ready import ReadyLoader
from partsight.errors import PartsightError
from partsight.fit import fitting
from partsight.model.classifier import Classifier

pytestmark = pytest.mark.slow
PLAIN = ("augmentation=none", "trainer.precision=32-true")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 pictures: folds of 10, 40 training rows, 5 batches of 8."""
    return tree(tmp_path_factory.mktemp("pictures"), {"dent": 15, "good": 20, "scratch": 15})


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """trained("training.epochs=0", ...): the folder of such a run; the same settings are run once."""
    done: dict[tuple[str, ...], Path] = {}

    def get(*settings: str) -> Path:
        if settings not in done:
            folder = tmp_path_factory.mktemp("run")
            done[settings] = run(folder, f"data.root={pictures}", *PLAIN, *settings)
        return done[settings]

    return get


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)[
        "state_dict"
    ]
    return state


def curve(folder: Path, series: str) -> pd.DataFrame:
    points = pd.read_csv(folder / "curves.csv")
    return points[points["series"] == series].reset_index(drop=True)


def figure(folder: Path, name: str) -> float:
    summary = pd.read_csv(folder / "metrics.csv").set_index("metric")
    return float(summary.loc[name, "value"])  # type: ignore[arg-type]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], part: str = "") -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items() if key.startswith(part))


# --- evaluations -----------------------------------------------------------------------------------------------------


def test_evaluations_within_an_epoch_stand_at_their_samples_and_change_no_weight(trained: Callable[..., Path]) -> None:
    plain = trained("training.epochs=2")
    often = trained(
        "training.epochs=2",
        "training.evaluation_epochs=0.4",
        "training.evaluate_before_training=true",
        "training.train_metric=true",
        "training.log_gradient_norm=true",
    )
    assert curve(often, "validation_F1")["samples"].tolist() == [0, 16, 32, 48, 64, 80]
    assert curve(often, "validation_F1")["step"].tolist() == [0, 2, 4, 6, 8, 10]
    assert curve(often, "train_F1")["samples"].tolist() == [16, 32, 48, 64, 80]
    assert curve(often, "gradient_norm")["step"].tolist() == list(range(1, 11))
    assert (curve(often, "gradient_norm")["value"] > 0).all()
    assert curve(plain, "validation_F1")["samples"].tolist() == [40, 80]
    assert same(weights(plain), weights(often))
    assert curve(often, "train_loss")["value"].tolist() == curve(plain, "train_loss")["value"].tolist()
    assert (plain / "predictions.parquet").read_bytes() == (often / "predictions.parquet").read_bytes()


def test_the_end_is_evaluated_though_the_interval_does_not_divide_it(trained: Callable[..., Path]) -> None:
    folder = trained("training.epochs=3", "training.evaluation_epochs=2")
    assert curve(folder, "validation_loss")["samples"].tolist() == [80, 120]
    table = pd.read_parquet(folder / "predictions.parquet")
    assert curve(folder, "validation_loss")["value"].iloc[-1] == pytest.approx(table["loss"].mean(), rel=1e-5)


def test_the_best_checkpoint_may_be_of_an_evaluation_within_an_epoch(trained: Callable[..., Path]) -> None:
    folder = trained(
        "training.epochs=2",
        "training.evaluation_epochs=0.2",
        "training.checkpoint=best",
        "prediction.metric=LogLoss",
        "training.schedule=constant",
        "training.learning_rate=0.03",
    )
    seen = curve(folder, "validation_LogLoss")
    assert len(seen) == 10
    best = seen.loc[seen["value"].idxmin()]
    assert best["step"] % 5 != 0, "choose another seed: the best is at the end of an epoch"
    assert figure(folder, "LogLoss") == pytest.approx(best["value"], abs=1e-6)
    stored = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert stored["global_step"] == best["step"]


def test_no_epochs_evaluate_the_first_weights(trained: Callable[..., Path]) -> None:
    folder = trained("training.epochs=0")
    points = pd.read_csv(folder / "curves.csv")
    assert set(points["samples"]) == {0}
    assert not {"learning_rate", "train_loss"} & set(points["series"])
    table = pd.read_parquet(folder / "predictions.parquet")
    assert len(table) == 10
    assert same(weights(folder, "best"), weights(folder, "last"))
    first = trained("training.epochs=2", "training.evaluation_epochs=0.4", "training.evaluate_before_training=true",
                    "training.train_metric=true", "training.log_gradient_norm=true")  # fmt: skip
    assert curve(first, "validation_loss")["value"][0] == pytest.approx(table["loss"].mean(), rel=1e-5)
    (tracked,) = mlflow_runs(folder.parent)
    assert tracked.info.status == "FINISHED"


def test_training_stops_when_the_metric_gets_no_better(trained: Callable[..., Path]) -> None:
    """A rate too small to change a decision: the first evaluation stays the best."""
    folder = trained("training.epochs=9", "training.early_stopping=3", "training.learning_rate=1e-9")
    assert curve(folder, "validation_F1")["samples"].tolist() == [40, 80, 120, 160]
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 20
    (tracked,) = mlflow_runs(folder.parent)
    assert tracked.data.tags["stopped_early"].startswith("in epoch 4 of 9: F1 was no better than")
    assert tracked.data.tags["stopped_early"].endswith("in 3 evaluations")
    assert "stopped_early" not in mlflow_runs(trained("training.epochs=2").parent)[0].data.tags
    whole = trained("training.epochs=4", "training.early_stopping=3", "training.learning_rate=1e-9")
    assert "stopped_early" not in mlflow_runs(whole.parent)[0].data.tags  # nothing was left to train


# --- what learns -----------------------------------------------------------------------------------------------------


def test_a_frozen_backbone_stands_still_batch_norm_included_and_thaws(trained: Callable[..., Path]) -> None:
    start, frozen = trained("training.epochs=0"), trained("training.epochs=1", "training.freeze_epochs=1")
    assert same(weights(start), weights(frozen), "backbone.")
    assert not same(weights(start), weights(frozen), "head.")
    thawed = weights(trained("training.epochs=2", "training.freeze_epochs=1", "training.evaluation_epochs=0.4"))
    moved = [key for key, value in weights(start).items() if not torch.equal(value, thawed[key])]
    assert {"backbone.model.layer1.0.conv1.weight", "backbone.model.layer1.0.bn1.running_mean"} <= set(moved)
    counts = [value for key, value in thawed.items() if key.endswith("num_batches_tracked")]
    assert {int(count) for count in counts} == {5}  # of the second epoch alone


def test_the_second_rate_has_a_curve_of_its_own(trained: Callable[..., Path]) -> None:
    folder = trained(
        "training.epochs=2",
        "training.differential_learning_rate=1e-5",
        "training.differential_learning_rate_layers=[backbone]",
    )
    first, second = curve(folder, "learning_rate")["value"], curve(folder, "learning_rate_differential")["value"]
    assert second.to_numpy() == pytest.approx(first.to_numpy() * 1e-2)
    plain = trained("training.epochs=2")
    assert first.tolist() == curve(plain, "learning_rate")["value"].tolist()
    assert curve(plain, "learning_rate_differential").empty


def test_accumulated_batches_are_one_large_batch(trained: Callable[..., Path]) -> None:
    """A model without BatchNorm, whose statistics know batches. 40 rows: 5 steps of 8, or 5 of two batches of 4."""
    vit = ("backbone=test_vit", "training.epochs=2", "training.optimizer=sgd")
    whole = trained(*vit, "training.batch_size=8")
    halves = trained(*vit, "training.batch_size=4", "training.grad_accumulation=2")
    for key, value in weights(whole).items():
        torch.testing.assert_close(value, weights(halves)[key], rtol=1e-3, atol=1e-5, msg=key)
    losses = curve(halves, "train_loss")["value"].to_numpy().reshape(-1, 2).mean(axis=1)  # of equal halves
    assert losses == pytest.approx(curve(whole, "train_loss")["value"].to_numpy(), rel=1e-3)
    rates = curve(halves, "learning_rate")
    assert len(rates) == 20
    assert rates["value"][1::2].tolist() == curve(whole, "learning_rate")["value"].tolist()
    assert rates["value"].iloc[-1] == 0


def test_a_remainder_of_accumulated_batches_is_a_step_too(trained: Callable[..., Path]) -> None:
    """5 batches by twos: three steps an epoch, and a schedule that ends with the last of them."""
    folder = trained("training.epochs=2", "training.grad_accumulation=2")
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 6
    rates = curve(folder, "learning_rate")["value"]
    cosine = [0.5e-3 * (1 + np.cos(np.pi * k / 6)) for k in range(7)]
    assert rates.tolist() == pytest.approx([cosine[k] for k in (0, 1, 1, 2, 3, 3, 4, 4, 5, 6)])


def test_clipping_bounds_the_step(trained: Callable[..., Path]) -> None:
    one = ("training.epochs=1", "training.optimizer=sgd", "training.schedule=constant", "trainer.limit_train_batches=1",
           "training.log_gradient_norm=true")  # fmt: skip
    start = weights(trained("training.epochs=0"))
    free, clipped = trained(*one), trained(*one, "training.gradient_clip=0.01")
    for folder, clip in ((free, np.inf), (clipped, 0.01)):
        after = weights(folder)
        learned = [key for key in after if "running" not in key and "num_batches" not in key]
        moved = np.sqrt(sum(float((after[key] - start[key]).double().square().sum()) for key in learned))
        norm = float(curve(folder, "gradient_norm")["value"][0])  # before clipping
        assert norm > 0.05
        # The first step of SGD with Nesterov's momentum 0.9 is 1.9 times rate and gradient.
        assert moved == pytest.approx(1.9 * 1e-3 * min(norm, clip), rel=1e-2)


def test_the_average_of_the_weights_is_the_result(trained: Callable[..., Path]) -> None:
    plain, averaged = (
        trained("training.epochs=2", *more, "training.schedule=constant", "training.learning_rate=0.01")
        for more in ((), ("training.ema_decay=0.5", "training.checkpoint=best"))
    )
    last, best = (weights(averaged, name) for name in ("last", "best"))
    assert curve(plain, "train_loss")["value"].tolist() == curve(averaged, "train_loss")["value"].tolist()
    stored = torch.load(averaged / "checkpoints" / "last.ckpt", weights_only=True)
    assert same(weights(plain), stored["current_model_state"])  # training itself goes on with its own weights
    assert not same(weights(plain), last)
    points = curve(averaged, "validation_F1")
    best_step = points["step"][points["value"].argmax()]
    assert torch.load(averaged / "checkpoints" / "best.ckpt", weights_only=True)["global_step"] == best_step
    assert same(last, best) is bool(best_step == points["step"].iloc[-1])
    assert figure(averaged, "F1") == pytest.approx(points["value"].max(), abs=1e-6)


# --- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["sigmoid_focal", "softmax_focal", "classification"])
def test_every_loss_trains_and_validation_stays_plain(trained: Callable[..., Path], loss: str) -> None:
    folder = trained("training.epochs=2", f"training.loss={loss}", "training.label_smoothing=0.1",
                     "training.class_weights=balanced")  # fmt: skip
    table = pd.read_parquet(folder / "predictions.parquet")
    true = np.array([row[f"prob_{row['label']}"] for _, row in table.iterrows()], dtype=np.float64)
    if loss == "classification":
        np.testing.assert_allclose(table["loss"], -np.log(true), rtol=1e-4)
    if loss == "softmax_focal":
        np.testing.assert_allclose(table["loss"], -((1 - true) ** 2) * np.log(true), rtol=1e-4)
    assert curve(folder, "validation_loss")["value"].iloc[-1] == pytest.approx(table["loss"].mean(), rel=1e-5)


# --- the range test --------------------------------------------------------------------------------------------------


def test_the_found_rate_gives_the_run_of_that_rate(trained: Callable[..., Path]) -> None:
    common = ("training.epochs=1", "training.layer_decay=0.9")
    found = trained(*common, "training.find_learning_rate=true")
    (tracked,) = mlflow_runs(found.parent)
    rate = tracked.data.params["training.learning_rate"]
    assert tracked.data.tags["found_learning_rate"] == rate
    assert 1e-6 < float(rate) < 0.1
    assert (found / "learning_rate_range.png").stat().st_size > 10_000
    curve_ = pd.read_csv(found / "learning_rate_range.csv")
    assert 20 <= len(curve_) <= 100
    by_hand = trained(*common, f"training.learning_rate={rate}")
    assert (found / "predictions.parquet").read_bytes() == (by_hand / "predictions.parquet").read_bytes()
    assert same(weights(found), weights(by_hand))


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["training.differential_learning_rate=1e-4"], "training.differential_learning_rate: name its layers"),
        (["training.differential_learning_rate_layers=[head]"], "training.differential_learning_rate_layers: give"),
        (["training.differential_learning_rate=1e-4", "training.differential_learning_rate_layers=['']"],
         "training.differential_learning_rate_layers: an empty text"),
        (["training.differential_learning_rate=1e-4", "training.differential_learning_rate_layers=[head]",
          "training.layer_decay=0.8"], "training.layer_decay and training.differential_learning_rate both"),
        (["training.differential_learning_rate=1e-4", "training.differential_learning_rate_layers=[head]",
          "training.find_learning_rate=true"], "training.find_learning_rate: finds one rate"),
        (["training.find_learning_rate=true", "training.epochs=0"], "training.find_learning_rate: training.epochs=0"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other(config: Callable[..., Config], settings: list[str], text: str) -> None:
    (problem,) = check.rules(config("usecase=casting", *settings))
    assert problem.startswith(text)


@pytest.mark.parametrize("setting", ["training.freeze_epochs=1", "training.find_learning_rate=true"])
def test_what_several_processes_cannot_do_is_refused_before_data_are_read(
    setting: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several: list[Any] = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", "trainer=auto"]
    with pytest.raises((SystemExit, PartsightError)):
        run(tmp_path, f"data.root={pictures}", *several, setting)
    said = capsys.readouterr()
    assert setting.split("=")[0] in said.out + said.err
    assert mlflow_runs(tmp_path) == []


def test_processes_started_for_a_run_of_one_are_refused(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises((SystemExit, PartsightError)):
        run(tmp_path, f"data.root={pictures}")
    assert "set trainer=ddp" in capsys.readouterr().err


# --- reading ahead ---------------------------------------------------------------------------------------------------


def test_all_but_the_first_epoch_begin_early(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, int, bool]] = []
    loaded = ReadyLoader.__iter__

    def noting(loader: ReadyLoader) -> Any:
        early = loader._begun is not None and loader._begun[0] == loader.sampler.epoch
        begun.append(("train" if loader.sampler.shuffle else "validate", loader.sampler.epoch, early))
        return loaded(loader)

    monkeypatch.setattr(ReadyLoader, "__iter__", noting)
    run(tmp_path, f"data.root={pictures}", *PLAIN, "training.evaluation_epochs=0.5")
    assert begun == [
        ("train", 0, False),
        *[("validate", 0, True)] * 2,
        ("train", 1, True),
        *[("validate", 1, True)] * 2,
    ]


def test_workers_of_the_validation_begin_before_training_fills_the_memory(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are forks, and would keep a second copy of it alive."""
    order: list[str] = []
    begin, step = ReadyLoader.begin, Classifier.training_step

    def noting_begin(loader: ReadyLoader, epoch: int) -> None:
        order.append("train" if loader.sampler.shuffle else "validate")
        begin(loader, epoch)

    def noting_step(model: Classifier, *given: Any) -> torch.Tensor:
        order.append("step")
        return step(model, *given)

    monkeypatch.setattr(ReadyLoader, "begin", noting_begin)
    monkeypatch.setattr(Classifier, "training_step", noting_step)
    run(tmp_path, f"data.root={pictures}", *PLAIN, "training.epochs=1")
    assert order[:2] == ["validate", "step"]


# --- compiled steps --------------------------------------------------------------------------------------------------


def test_training_steps_alone_are_compiled(
    trained: Callable[..., Path], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch.compile makes of them is its own matter (tests/test_gpu.py trains so): here it returns what it got."""
    modes, gradients = [], []

    def compiled(forward: Callable[..., torch.Tensor], mode: str, dynamic: bool) -> Callable[..., torch.Tensor]:
        modes.append(mode)

        def noting(given: torch.Tensor) -> torch.Tensor:
            gradients.append(torch.is_grad_enabled())
            return forward(given)

        return noting

    monkeypatch.setattr(torch, "compile", compiled)
    folder = run(tmp_path, f"data.root={pictures}", *PLAIN, "trainer.compile=reduce-overhead")
    assert modes == ["reduce-overhead"]
    assert gradients == [True] * 10, "two epochs of five batches, no validation"
    assert same(weights(folder), weights(trained()))


def test_without_a_compiler_nothing_begins(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fitting, "COMPILERS", ("no-such-compiler",))
    with pytest.raises(SystemExit):
        run(tmp_path, f"data.root={pictures}", *PLAIN, "trainer.compile=default")
    assert "trainer.compile=default: torch.compile needs a C++ compiler" in capsys.readouterr().err
    assert mlflow_runs(tmp_path) == []


def test_a_metric_that_is_never_defined_makes_no_evaluation_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "parts"
    tree(root / "train", {"a": 8, "b": 8})
    tree(root / "val", {"a": 4})
    given = ["data.validation_strategy=custom", "prediction.metric=ROC_AUC", "training.checkpoint=best"]
    run(tmp_path, f"data.root={root}", *given)
    assert "NO EVALUATION IS THE BEST" in capsys.readouterr().out
    (only,) = mlflow_runs(tmp_path)
    assert only.data.tags["no_best"].startswith("ROC_AUC is not defined on the validation rows")
