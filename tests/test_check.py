"""Every mistake is found before training, named with its key, answered with a mend, and shown with all the others."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partsight import check, overrides
from partsight.config import METRICS, Config, conf_folder
from partsight.data.samples import SAMPLES
from partsight.errors import Problems

Compose = Callable[..., Config]


@pytest.fixture
def problems() -> Callable[..., list[str]]:
    """problems("usecase=casting", ...): stage one's answer to a command line with the shipped conf/."""

    def found(*given: str, folders: tuple[Path, ...] = (), multirun: bool = False) -> list[str]:
        places = [conf_folder(), *folders]
        return overrides.problems(given, places, multirun) or overrides.unresolved(given, places)

    return found


def one(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("training.learning_rat=1", "training.learning_rate"),  # misspelt
        ("trainning.epochs=3", "training.epochs"),  # section misspelt
        ("data.batch_size=8", "training.batch_size"),  # right name, wrong section
        ("training.dropout=0.5", "head.dropout"),  # ... though a setting of that section sounds alike
        ("tracker.checkpoint=false", "tracking.checkpoint"),  # ... of two sections that have it, the nearer
        ("epochs=3", "training.epochs"),  # no section
        ("data.heigt=64", "image.height"),  # both wrong
    ],
)
def test_an_unknown_setting_is_answered_with_the_one_that_was_meant(
    problems: Callable[..., list[str]], override: str, meant: str
) -> None:
    key = override.split("=")[0]
    assert one(problems("usecase=casting", override)) == f"{key}: there is no such setting; did you mean {meant}?"


def test_an_unknown_setting_like_no_other_is_answered_with_where_to_look(problems: Callable[..., list[str]]) -> None:
    assert one(problems("usecase=casting", "qqqq.zzzz=1")) == (
        "qqqq.zzzz: there is no such setting; --cfg job shows all settings"
    )


@pytest.mark.parametrize("prefix", ["+", "++"])
@pytest.mark.parametrize("key", ["unknown", "training.unknown"])
def test_the_plus_that_hydra_advises_does_not_let_an_unknown_setting_in(
    problems: Callable[..., list[str]], prefix: str, key: str
) -> None:
    assert one(problems("usecase=casting", f"{prefix}{key}=1")).startswith(f"{key}: there is no such setting")


@pytest.mark.parametrize("key", ["training.epochs", "augmentation.train"])
def test_a_setting_that_always_has_a_value_cannot_be_deleted(problems: Callable[..., list[str]], key: str) -> None:
    assert one(problems("usecase=casting", f"~{key}")).startswith(f"~{key}: only groups and transforms can be left out")


def test_an_unknown_setting_cannot_be_deleted(problems: Callable[..., list[str]]) -> None:
    assert "training.lerning_rate: there is no such setting" in one(
        problems("usecase=casting", "~training.lerning_rate")
    )


@pytest.mark.parametrize(
    "override",
    [
        "+augmentation.train.Blur.p=0.3",
        "+augmentation.train.Blur={p: 0.3, blur_limit: [3, 5]}",
        "~augmentation.train.HorizontalFlip",
        "augmentation.train.HorizontalFlip.p=1",
        "backbone=efficientnet_b4",
        "data.root=null",
        "data.label_columns=[a,b]",
        "trainer.devices=[0,1]",
        "training.learning_rate=1e-4",
        "name=my.part v2",
        "name=fold_${fold}",
        "data.root=${oc.env:NOT_SET_IN_A_TEST,/parts}",
        "data.root=${hydra:runtime.cwd}/parts",
        "data.root='\\${x}'",
        "head=gem",
        "hydra.run.dir=elsewhere",
    ],
)
def test_a_right_override_gives_no_problem(problems: Callable[..., list[str]], override: str) -> None:
    assert problems("usecase=casting", override) == []


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("training.epochs=many", "training.epochs=many: Value 'many' of type 'str' could not be converted to Integer"),
        ("training.epochs=1.5", "training.epochs=1.5: Value '1.5' of type 'float' could not be converted to Integer"),
        ("head.dropout=half", "head.dropout=half: Value 'half' of type 'str' could not be converted to Float"),
        ("model.pretrained=perhaps", "model.pretrained=perhaps: Value 'perhaps' is not a valid bool"),
        ("head.hidden=[wide]", "head.hidden=['wide']: Value 'wide' of type 'str' could not be converted to Integer"),
        ("data.label_columns=class", "data.label_columns=class: is a list; write data.label_columns=[class]"),
        ("name=null", "name=None: "),
        ("training=fast", "training=fast: "),
        ("name=", "name=: is empty"),
        ("name=' '", "name= : is empty"),
        ("name=..", "name=..: must be the name of one folder below runs/"),
        ("name=../x", "name=../x: must be the name of one folder"),
        ("name=a/b", "name=a/b: must be the name of one folder"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_named(
    problems: Callable[..., list[str]], override: str, text: str
) -> None:
    assert one(problems("usecase=casting", override)).startswith(text)


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("plugins=[[my_plug]]", "plugins=[['my_plug']]"),
        ("plugins=[{my_plug: 1}]", "plugins=[{'my_plug': 1}]"),
        ("data.label_columns=[[class]]", "data.label_columns=[['class']]"),
        ("head.hidden=[[64]]", "head.hidden=[[64]]"),
    ],
)
def test_a_list_within_a_list_is_refused(config: Compose, override: str, shown: str) -> None:
    with pytest.raises(Problems) as caught:
        config("usecase=casting", override)
    assert caught.value.problems == [f"{shown}: must be a plain list, without lists or mappings in it"]


@pytest.mark.parametrize(
    ("override", "meant", "listed"),
    [
        ("usecase=castin", "casting", "resistor, steel"),
        ("head=gems", "gem", "head is one of dense, dropout, gem, linear"),
    ],
)
def test_an_unknown_option_of_a_group_is_answered_with_the_nearest_and_all(
    problems: Callable[..., list[str]], override: str, meant: str, listed: str
) -> None:
    text = one(problems(*{"usecase": "usecase=casting", override.split("=")[0]: override}.values()))
    assert text.startswith(f"{override}: there is no such file; did you mean {meant}?")
    assert text.endswith(listed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("augmentation.train.HorizontalFlip.q=1", "augmentation.train.HorizontalFlip has no q, only p; to add it, "),
        ("augmentation.train.Foo.p=1", "augmentation.train has no Foo, only Resize, HorizontalFlip; to add it, "),
        (
            "augmentation.train.Horizontalflip.p=1",
            "augmentation.train has no Horizontalflip, only Resize, HorizontalFlip; did you mean HorizontalFlip?",
        ),
        ("~augmentation.train.Foo", "augmentation.train has no Foo, only Resize, HorizontalFlip"),
        ("augmentation.train.HorizontalFlip.p.x=1", "augmentation.train.HorizontalFlip.p has no x; to add "),
    ],
)
def test_a_transform_that_is_changed_must_be_there(problems: Callable[..., list[str]], given: str, said: str) -> None:
    assert one(problems("usecase=casting", given)).startswith(f"{given}: {said}")


def test_an_item_of_a_list_may_be_changed(problems: Callable[..., list[str]]) -> None:
    assert problems("usecase=casting", "augmentation=hard", "augmentation.train.Affine.rotate.0=-10") == []


def test_a_transform_may_be_changed_where_any_setting_brings_it(problems: Callable[..., list[str]]) -> None:
    added = ["augmentation.train.Blur.p=1", "+augmentation.train.Blur.p=0.3", "~augmentation.train.Affine"]
    assert problems("usecase=casting", "augmentation=medium", *added) == []
    assert problems("usecase=casting", "augmentation=medium,soft", "~augmentation.train.Affine", multirun=True) == []


def test_transforms_that_are_not_there_do_not_hide_the_other_mistakes(problems: Callable[..., list[str]]) -> None:
    absent = ["augmentation.train.Foo.p=1", "~augmentation.train.Bar"]
    found = problems("usecase=casting", "training.batch_size=0", *absent)
    assert [text.split(": ")[0] for text in found] == [*absent, "training.batch_size=0"]
    # What the augmentation holds is not known where its own name is wrong.
    assert one(problems("usecase=casting", "augmentation=mild", *absent)).startswith("augmentation=mild: ")


@pytest.mark.parametrize("text", ["nonsense", "training.epochs", "=3", "name=a b]"])
def test_an_override_that_is_no_key_and_value_is_quoted(problems: Callable[..., list[str]], text: str) -> None:
    assert one(problems("usecase=casting", text)).startswith(f"{text}: not of the form key=value")


@pytest.mark.parametrize("text", ["data.root=~/parts", "data.root=/Prüfteile", "data.good_classes=[gut,Lötfehler]"])
def test_a_value_that_hydra_cannot_read_is_to_be_quoted(problems: Callable[..., list[str]], text: str) -> None:
    assert "put texts with blanks, brackets, ~ or umlauts in quotes" in one(problems("usecase=casting", text))
    assert one(problems("usecase=custom", *{"data.root": "data.root=/", text.split("=")[0]: text}.values()))
    assert not problems("usecase=casting", "data.good_classes=['gut','Lötfehler']")


def test_without_a_use_case_the_users_root_is_looked_into(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").touch()
    assert one(problems(f"data.root={tmp_path}", "data.table=labels.csv")).startswith("usecase: choose one of")
    assert "data.root=/nowhere: there is no such folder" in problems("data.root=/nowhere", "data.table=labels.csv")


def test_the_made_sample_is_offered_where_there_is_one(config: Compose) -> None:
    for usecase, offered in (("casting", True), ("custom", False)):
        text = one(check.rules(config(f"usecase={usecase}", "data.root=/nowhere")))
        assert text.startswith("data.root=/nowhere: there is no such folder")
        assert ("made sample" in text) is offered


def test_a_missing_use_case_lists_them(problems: Callable[..., list[str]]) -> None:
    text = one(problems("training.epochs=3"))
    for name in ("casting", "custom", "product_defect", "resistor", "steel"):
        assert name in text
    assert text.endswith("usecase=casting")


@pytest.mark.parametrize(
    "override", ["tracking.uri=http://me:hidden@10.0.0.1", "tracking.uri=postgresql://me:hidden@h/d"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(
    problems: Callable[..., list[str]], config: Callable[..., Config], override: str
) -> None:
    for text in (one(problems("usecase=casting", override)), one(check.rules(config("usecase=casting", override)))):
        assert text.startswith("tracking.uri: holds a password")  # before Hydra, which keeps settings in files
        assert "hidden" not in text
    assert check.rules(config("usecase=casting", override.replace(":hidden", ""))) == []


@pytest.mark.parametrize("override", ["fold=0,1", "training.epochs=range(1,4)", "training.learning_rate=interval(0,1)"])
def test_several_values_need_a_sweep(problems: Callable[..., list[str]], override: str) -> None:
    assert one(problems("usecase=casting", override)) == f"{override}: several values need a sweep: add -m"
    assert problems("usecase=casting", override, multirun=True) == []


@pytest.mark.parametrize(
    "override",
    [
        "backbone=shuffle(resnet18,resnet34)",
        "training.epochs=shuffle(range(1,4))",
        "head=glob(*)",
        "training.loss=glob(*focal)",
    ],
)
def test_a_sweep_whose_values_are_found_anew_at_each_look_is_refused(
    problems: Callable[..., list[str]], override: str
) -> None:
    """Hydra shuffles again for each list of the jobs, so that a table would name other jobs than those that ran."""
    said = f"{override}: Hydra finds these values, or their order, anew at each look; write them out"
    assert problems("usecase=casting", override, multirun=True) == [said]


@pytest.mark.parametrize(
    "sweep", ["usecase='casting','steel'", "training.epochs='3','5'", "training.weight_decay='0.1',0"]
)
def test_values_of_a_sweep_may_be_quoted(problems: Callable[..., list[str]], sweep: str) -> None:
    assert problems("usecase=casting", sweep, multirun=True) == []


def test_every_value_of_a_sweep_is_checked(problems: Callable[..., list[str]]) -> None:
    found = problems("usecase=casting,resister", "fold=0,one", "head=linear,gem", multirun=True)
    assert [text.split(":")[0] for text in found] == ["usecase=resister", "fold=one"]


def test_mistakes_of_every_kind_come_in_one_answer(problems: Callable[..., list[str]]) -> None:
    found = problems(
        "usecase=casting",
        "trainning.seed=3",  # unknown
        "training.batch_size=x",  # type
        "head=gem2",  # option
        "nonsense",  # form
        "training.epochs=1,2",  # sweep
        "fold=7",  # contradicts data.folds
        "training.learning_rate=-1",  # range
        "training.loss=ebc",  # choice
        "model.weights=/not/there",  # path
    )
    assert [text.split(":")[0] for text in found] == [
        "trainning.seed",
        "training.batch_size=x",
        "head=gem2",
        "nonsense",
        "training.epochs=1,2",
        "training.learning_rate=-1.0",
        "training.loss=ebc",
        "fold=7",
        "model.weights=/not/there",
    ]


def test_a_missing_use_case_does_not_hide_the_other_mistakes(problems: Callable[..., list[str]]) -> None:
    found = problems("training.learning_rate=-1", "nonsense")
    assert [text.split(":")[0] for text in found] == ["nonsense", "usecase", "training.learning_rate=-1.0"]


# --- files -----------------------------------------------------------------------------------------------------------


def test_mistakes_in_a_file_of_the_user_are_named_with_its_path(
    problems: Callable[..., list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "conf" / "usecase" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\ntraining:\n  epoch: 3\n  batch_size: many\nheads: {}\n")
    found = problems("usecase=mine", folders=(tmp_path / "conf",))
    assert found == [
        f"{file}: training.epoch: there is no such setting; did you mean training.epochs?",
        f"{file}: heads: there is no such setting; --cfg job shows all settings",
        f"{file}: training.batch_size=many: Value 'many' of type 'str' could not be converted to Integer",
    ]


def test_mistakes_in_a_file_of_a_group_are_found_in_its_section(
    problems: Callable[..., list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "head" / "wide.yaml"
    file.parent.mkdir()
    file.write_text("hiden: [512]\n")
    text = one(problems("usecase=casting", "head=wide", folders=(tmp_path,)))
    assert text == f"{file}: head.hiden: there is no such setting; did you mean head.hidden?"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a: [", "not readable as YAML"),
        ("- a\n", "found list"),
        ("name: a\nname: b\n", "found duplicate key name"),
        ("# \xe4 in another encoding\nname: a\n", "not UTF-8 text; save it as UTF-8"),
        ("name: mine\ndata: {root: .}\n", "begin it with the line `# @package _global_`"),
        ("# mine\n# @package _global_\nname: mine\n", "begin it with the line `# @package _global_`, above any other"),
        ("name: mine\n# @package _global_\n", "begin it with the line `# @package _global_`"),
        ("", "begin it with the line `# @package _global_`"),
        ("\xef\xbb\xbf# @package _global_\nname: mine\n", "begins with a byte order mark"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    problems: Callable[..., list[str]], tmp_path: Path, content: str, text: str
) -> None:
    file = tmp_path / "usecase" / "mine.yaml"
    file.parent.mkdir()
    file.write_bytes(content.encode("latin-1"))
    answer = one(problems("usecase=mine", folders=(tmp_path,)))
    assert answer.startswith(f"{file}: ")
    assert text in answer
    assert problems("usecase=casting,mine", "head=linear,gem", folders=(tmp_path,), multirun=True) == [answer]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["data.root=${oc.env:NONE}"], ["data.root=${oc.env:NONE}: Environment variable 'NONE' not found"]),
        (["training.epochs=${oc.env:NONE}"], ["training.epochs=${oc.env:NONE}: Environment variable 'NONE' not found"]),
        (["name=${nam}"], ["name=${nam}: Interpolation key 'nam' not found"]),  # not also: tracking.experiment=${name}
        (
            ["head.hidden=[${nam}]", "name=x_${oc.env:NONE}", "epochs=3"],
            [
                "epochs: there is no such setting; did you mean training.epochs?",
                "name=x_${oc.env:NONE}: Environment variable 'NONE' not found",
                "head.hidden=['${nam}']: Interpolation key 'nam' not found",
            ],
        ),
        (["name=${name}_v2"], ["name=${name}_v2: Recursive interpolation detected"]),
        (
            ["data.table=${data.images}", "data.images=${data.table}"],
            [
                "data.table=${data.images}: Recursive interpolation detected",
                "data.images=${data.table}: Recursive interpolation detected",
            ],
        ),
        (["name=x${oc.env:PART}"], ["name=xa/b: must be the name of one folder below runs/"]),
        (["data.root=???"], ["data.root=???: must be given; add data.root=VALUE"]),
        (
            ["data.root=${hydra:runtime.cwd}/parts", "epochs=3"],
            ["epochs: there is no such setting; did you mean training.epochs?"],
        ),
    ],
    ids=["environment", "number", "setting", "several", "itself", "circle", "place", "to be given", "of the run"],
)
def test_what_refers_to_nothing_is_named(
    problems: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, given: list[str], expected: list[str]
) -> None:
    monkeypatch.delenv("NONE", raising=False)
    monkeypatch.setenv("PART", "a/b")
    found = [text.partition("; another place")[0] for text in problems("usecase=casting", *given)]
    assert sorted(found) == sorted(expected)


def test_what_a_file_of_the_user_refers_to_must_be_there(
    problems: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "usecase").mkdir()
    (tmp_path / "usecase" / "line.yaml").write_text("# @package _global_\nname: line_${oc.env:LINE}\n")
    monkeypatch.delenv("LINE", raising=False)
    text = one(problems("usecase=line", "data.root=/", folders=(tmp_path,)))
    assert text == "name=line_${oc.env:LINE}: Environment variable 'LINE' not found"
    monkeypatch.setenv("LINE", "3")
    assert problems("usecase=line", "data.root=/", folders=(tmp_path,)) == []


def test_a_right_file_of_the_user_is_taken(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    file = tmp_path / "usecase" / "mine.yaml"
    file.parent.mkdir()
    file.write_text("# @package _global_\ndefaults:\nname: mine\ntraining:\n  learning_rate: 1e-4\n  epochs: '3'\n")
    assert problems("usecase=mine", folders=(tmp_path,)) == []


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("usecase/steel.yaml", ["usecase=steel"]),
        ("usecase/steel.yaml", ["usecase=casting,steel"]),
        ("augmentation/soft.yaml", ["usecase=casting", "augmentation=soft"]),
        ("augmentation/hard.yaml", ["usecase=mine"]),
        ("trainer/auto.yaml", ["usecase=mine"]),
    ],
    ids=str,
)
def test_a_file_of_the_user_that_has_the_name_of_a_shipped_one_is_refused_since_hydra_never_reads_it(
    problems: Callable[..., list[str]], tmp_path: Path, file: str, given: list[str]
) -> None:
    mine = "# @package _global_\ndefaults: [{override /augmentation: hard}]\nname: mine\ndata: {sample: casting}\n"
    for name, content in {"usecase/mine.yaml": mine, file: "{}\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    text = one(problems(*given, folders=(tmp_path,), multirun=True))
    assert text.startswith(f"{tmp_path / file}: Hydra never reads it, because {conf_folder() / file} has the same name")
    others = ["usecase=product_defect", "augmentation=medium", "trainer=cpu"]
    assert problems(*others, folders=(tmp_path,)) == []


def test_the_folder_of_the_shipped_files_may_be_named_again(problems: Callable[..., list[str]]) -> None:
    assert problems("usecase=steel", folders=(conf_folder(),)) == []


def test_a_search_path_that_is_no_list_is_said(problems: Callable[..., list[str]]) -> None:
    said = one(problems("usecase=steel", "hydra.searchpath=file:///tmp"))
    assert said == 'hydra.searchpath=file:///tmp: must be a list: "hydra.searchpath=[file:///tmp]"'


# --- rules of a composed config --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("training.epochs=-1", "must be at least 0"),
        ("training.learning_rate=0", "must be above 0"),
        ("training.learning_rate=nan", "must be a finite number"),
        ("training.learning_rate=inf", "must be a finite number"),
        ("training.learning_rate=1e300", "must be at most 1000000"),  # a step of it is no float32
        ("training.weight_decay=1e300", "must be at most 1000000"),
        ("head.dropout=1", "must be below 1"),
        ("head.dropout=-0.1", "must be at least 0"),
        ("prediction.threshold=1", "must be below 1"),
        ("data.folds=1", "must be at least 2"),
        ("seed=-2", "must be at least -1"),
        ("data.workers=-1", "must be at least 0"),
        ("trainer.limit_val_batches=0", "must be at least 1"),
        ("image.normalization=imagent", "did you mean imagenet?"),
        ("mix.concentration=0", "must be above 0"),
        ("mix.probability=1.1", "must be at most 1"),
        ("mix.image=mixip", "did you mean mixup?"),
        ("data.share=0", "must be above 0"),
        ("data.share_of=[train,test]", "=[train,test]: takes train, validation, each once"),
        ("prediction.test_time_augmentation=[flip_horizontal]", "takes horizontal_flip, vertical_flip, each once"),
        ("prediction.test_time_augmentation=[horizontal_flip,horizontal_flip]", "an entry is named twice"),
        ("prediction.metric=f1", f"must be one of {', '.join(METRICS)}"),
        ("trainer.precision=bf16", "must be one of auto, 32-true, bf16-mixed, 16-mixed"),
        ("trainer.accelerator=gppu", "must be one of auto, cpu, gpu; did you mean gpu?"),
        ("trainer.accelerator=cuda", "must be one of auto, cpu, gpu"),
        ("trainer.strategy=dddp", "must be one of auto, ddp, ddp_find_unused_parameters_true; did you mean ddp?"),
        ("trainer.strategy=fsdp", "must be one of auto, ddp, ddp_find_unused_parameters_true"),
        ("trainer.devices=two", "must be a number from 1, a list such as [0,1], or auto"),
        ("trainer.devices=0", "must be a number from 1"),
        ("trainer.devices=[0,x]", "must be a number from 1"),
    ],
)
def test_a_value_out_of_its_range_or_choice_is_named(config: Compose, override: str, text: str) -> None:
    problem = one(check.rules(config("usecase=casting", override)))
    assert problem.startswith(override.split("=")[0] + "=")
    assert text in problem


TREE = ("data.root=.", "data.table=null", "data.usual_table=null")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["fold=5"], "fold=5: data.folds=5 has folds 0 to 4"),
        (
            ["training.train_on_validation=true", "training.checkpoint=best"],
            "training.train_on_validation=true: training.checkpoint=best would choose on rows it trains on",
        ),
        (
            ["training.train_on_validation=true", "training.early_stopping=3"],
            "training.train_on_validation=true: training.early_stopping would watch rows it trains on",
        ),
        (
            ["training.sampling=balanced", "training.class_weights=balanced"],
            "training.sampling=balanced: training.class_weights=balanced weighs classes a second time",
        ),
        (
            ["trainer.compile=reduce-overhead", "training.grad_accumulation=2"],
            "trainer.compile=reduce-overhead: CUDA graphs would write over the gradients",
        ),
        (["data.share=0.5", "data.share_of=[]"], "data.share=0.5: data.share_of names no rows it acts on"),
        (
            ["data.validation_strategy=holdout", "fold=1"],
            "fold=1: data.validation_strategy=holdout divides once",
        ),
        (
            ["data.validation_strategy=custom", "fold=1"],
            "fold=1: data.validation_strategy=custom divides once",
        ),
        (
            ["data.validation_strategy=grouped"],
            "data.validation_strategy=grouped: needs data.group_column, or",
        ),
        (["data.validation_strategy=column"], "data.validation_strategy=column: needs data.fold_column"),
        (
            [*TREE, "data.validation_strategy=column", "data.fold_column=fold"],
            "data.validation_strategy=column: needs data.table",
        ),
        (["data.fold_column=fold"], "data.fold_column: set data.validation_strategy=column"),
        (["data.validation_strategy=file"], "data.validation_strategy=file: needs data.folds_file"),
        ([f"data.folds_file={__file__}"], "data.folds_file: set data.validation_strategy=file"),
        (
            ["data.validation_strategy=file", "data.folds_file=folds.csv"],
            "data.folds_file=folds.csv: there is no such file",
        ),
        (
            ["data.validation_strategy=custom", "data.on_leak=group"],
            "data.on_leak=group: data.validation_strategy=custom is a given division",
        ),
        (["data.label_columns=[]"], "data.label_columns: name at least one column"),
        (["data.label_columns=[a,b,a]"], "data.label_columns: a column is named twice"),
        ([*TREE, "data.label_columns=[a,b]"], "data.label_columns: several columns need data.table"),
        ([*TREE, "data.group_column=run"], "data.group_column: needs data.table"),
        (
            ["data.validation_table=v.csv", "data.root=null"],
            "data.validation_table: acts only under data.validation_strategy=custom",
        ),
        (["data.test_images=new", "data.root=null"], "data.test_images: needs data.test_table"),
        ([*TREE, "data.several_rows=multi_hot"], "data.several_rows=multi_hot: needs data.table"),
        (
            ["data.several_rows=multi_hot", "data.label_columns=[a,b]"],
            "data.several_rows=multi_hot: makes several labels of one column",
        ),
        (["data.several_rows=multi_hot", "model.output=softmax"], "model.output=softmax: the classes of multi_hot"),
        (
            ["data.several_rows=multi_hot", "training.loss=cross_entropy"],
            "training.loss=cross_entropy: data.several_rows=multi_hot needs bce",
        ),
        (["data.label_columns=[a,b]", "model.output=softmax"], "model.output=softmax: several label columns"),
        (
            ["data.label_columns=[a,b]", "training.loss=cross_entropy"],
            "training.loss=cross_entropy: several label columns need bce, sigmoid_focal or classification",
        ),
        (
            ["model.output=sigmoid", "training.loss=cross_entropy"],
            "training.loss=cross_entropy: a single output (model.output=sigmoid) needs bce, sigmoid_focal or class",
        ),
        (
            ["data.label_columns=[a,b]", "training.loss=softmax_focal"],
            "training.loss=softmax_focal: several label columns need bce, sigmoid_focal or classification",
        ),
        (["data.positive_class=ok", "model.output=softmax"], "data.positive_class=ok: acts on a single sigmoid output"),
        (["data.positive_class=a", "data.label_columns=[a,b]"], "data.positive_class=a: acts on a single sigmoid"),
        (["training.warmup_epochs=5"], "training.warmup_epochs=5.0: must be below training.epochs=5"),
        (["head.hidden=[64,0]"], "head.hidden: widths must be at least 1"),
        (["trainer=cpu", "trainer.precision=16-mixed"], "trainer.precision=16-mixed is for GPUs; on a CPU use"),
        (["trainer=ddp", "training.freeze_epochs=1"], "training.freeze_epochs=1: processes would wait for gradients"),
        (["trainer.num_nodes=2", "training.freeze_epochs=1"], "training.freeze_epochs=1: processes would wait for"),
        (["trainer.devices=2", "data.unlabeled_table=x.csv", "data.root=null"], "data.unlabeled_table: pseudo-labels"),
        (["trainer.devices=[0,1]", "training.find_learning_rate=true"], "training.find_learning_rate: works in one"),
    ],
)
def test_settings_that_contradict_each_other_are_named(config: Compose, overrides: list[str], text: str) -> None:
    assert one(check.rules(config("usecase=casting", *overrides))).startswith(text)


@pytest.mark.parametrize(
    "overrides",
    [
        ["fold=4"],
        ["data.label_columns=[a,b]"],
        ["data.label_columns=[a,b]", "model.output=sigmoid"],
        [*TREE],
        ["model.output=sigmoid", "data.positive_class=ok_front"],
        ["training.warmup_epochs=4.5"],
        ["head.hidden=[64,1]"],
        ["data.workers=0"],
        ["seed=0"],
    ],
)
def test_settings_next_to_a_limit_are_right(config: Compose, overrides: list[str]) -> None:
    assert check.rules(config("usecase=casting", *overrides)) == []


def test_the_own_use_case_asks_for_a_folder(config: Compose) -> None:
    assert one(check.rules(config("usecase=custom"))).startswith("data.root: name the folder of your pictures")


def test_each_path_that_is_not_there_is_named_with_where_it_was_looked_for(config: Compose, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    given = ["usecase=custom", "data.root=parts", "data.table=a.csv", "data.images=jpg", "model.weights=w.pt"]
    assert check.rules(config(*given)) == [
        "data.table=a.csv: there is no such file in parts",
        "data.images=jpg: there is no such folder in parts",
        "model.weights=w.pt: there is no such file",
    ]
    (tmp_path / "parts" / "a.csv").touch()
    (tmp_path / "parts" / "jpg").mkdir()
    (tmp_path / "w.pt").touch()
    assert check.rules(config(*given)) == []


def test_a_folder_that_may_not_be_looked_into_is_as_good_as_none(
    config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert one(check.rules(config("usecase=casting", "data.root='~nosuchuser/parts'"))).startswith("data.root=~nosuch")

    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    shut = config("usecase=casting", "data.root=/shut/parts")
    monkeypatch.setattr(Path, "is_dir", refused)
    assert one(check.rules(shut)).startswith("data.root=/shut/parts: ")


def test_a_data_folder_that_is_not_there_is_never_replaced_by_the_sample(config: Compose) -> None:
    text = one(check.rules(config("usecase=casting", "data.root=/not/there")))
    assert text.startswith("data.root=/not/there: there is no such folder")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("data.sample=castng", "data.sample=castng: must be one of casting, product_defect, resistor, steel; did you"),
        ("data.sample_count=5", "data.sample_count=5: casting needs at least 12"),
    ],
)
def test_a_sample_that_cannot_be_made_is_named_with_the_other_mistakes(config: Compose, given: str, said: str) -> None:
    assert one(check.rules(config("usecase=casting", given))).startswith(said)
    assert check.rules(config("usecase=casting", given, "data.root=.")) == []


def test_the_least_counts_of_samples_are_those_of_the_samples() -> None:
    assert {name: sample.least for name, sample in SAMPLES.items()} == check._LEAST


# --- names that only the libraries know ------------------------------------------------------------------------------

SMALL = ("usecase=casting", "image.height=64", "image.width=64", "backbone=resnet18")
VIT = "backbone=vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("overrides", "beginning", "contained"),
    [
        (["backbone=resnet19"], "backbone=resnet19: timm has no such model", "did you mean resnet18"),
        (["backbone=zzzzqq"], "backbone=zzzzqq: timm has no such model", ""),
        (["backbone=resnet50.a1_in2k"], "backbone=resnet50.a1_in2k: ", "resnet50.a1_in1k"),
        ([VIT, "head.pool=avg"], "head.pool=avg: vit_tiny_patch16_224 works on tokens", "set head.pool=auto"),
        ([VIT, "head.pool=gem"], "head.pool=gem: vit_tiny_patch16_224 works on tokens", "set head.pool=auto"),
        (
            [VIT, "image.height=15", "image.width=15"],
            f"{VIT}: fails when tried on pictures of 3 x 15 x 15",
            "Error: ",
        ),
        (
            ["image.height=32", "image.width=32", "training.batch_size=1"],
            "training.batch_size=1: a BatchNorm of resnet18 sees one value per channel of a picture of 32 x 32",
            "set 2 or more",
        ),
        (["training.optimizer=adamww"], "training.optimizer=adamww: timm has no such optimizer", "did you mean adamw?"),
        (
            ["+augmentation.train.Blurr.p=1"],
            "augmentation.train.Blurr: albumentations has no such",
            "did you mean Blur?",
        ),
        (["+augmentation.train.Compose={}"], "augmentation.train.Compose: albumentations has no such transform", ""),
        (["+augmentation.train.Blur.q=1"], "augmentation.train.Blur.q: no such argument", "Blur takes blur_limit, p"),
        (["+augmentation.train.Blur.p=2"], "augmentation.train.Blur: ", "less than or equal to 1"),
        (
            ["+augmentation.train.CenterCrop={height: 32, width: 48}"],
            "augmentation.train: gives pictures of 32 x 48, image.height and image.width say 64 x 64",
            "add Resize",
        ),
        (["~augmentation.inference.Resize"], "augmentation.inference: gives pictures of", "64 x 64"),
        (["+augmentation.train.Crop={x_max: 900, y_max: 900}"], "augmentation.train: fails on a picture of", ""),
        (["plugins=[not_there]"], "plugins: not_there cannot be imported: ModuleNotFoundError", " or the environment"),
        (["plugins=[./plugin]"], "plugins: ./plugin cannot be imported: write its name as after `import`", ""),
        (["plugins=[plugin.py]"], "plugins: plugin.py cannot be imported: write its name as after `import`", ""),
    ],
)
def test_a_name_that_a_library_does_not_know_is_named(
    config: Compose, overrides: list[str], beginning: str, contained: str
) -> None:
    text = one(check.with_libraries(config(*SMALL, *overrides)))
    assert text.startswith(beginning)
    assert contained in text


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [VIT],  # at 64 x 64, though its weights are of 224
        ["head.pool=gem"],
        ["backbone=resnet18.a1_in1k"],
        ["training.optimizer=lion"],
        ["training.batch_size=1"],
        ["training.batch_size=1", "training.epochs=0", "image.height=32", "image.width=32"],
        ["training.batch_size=1", "training.freeze_epochs=99", "image.height=32", "image.width=32"],
        ["augmentation=hard"],
        ["+augmentation.train.Blur={p: 0.3, blur_limit: [3, 5]}"],
        ["image.channels=1"],
    ],
)
def test_names_that_the_libraries_know_are_right(config: Compose, overrides: list[str]) -> None:
    assert check.with_libraries(config(*SMALL, *overrides)) == []


def test_unknown_names_of_every_kind_come_in_one_answer(config: Compose) -> None:
    found = check.with_libraries(
        config(
            *SMALL,
            "plugins=[not_there]",
            "backbone=resnet19",
            "training.optimizer=adamww",
            "+augmentation.train.Blurr.p=1",
            "+augmentation.inference.Blur.q=1",
        )
    )
    assert [text.split(":")[0].split("=")[0] for text in found] == [
        "plugins",
        "backbone",
        "training.optimizer",
        "augmentation.train.Blurr",
        "augmentation.inference.Blur.q",
    ]


@pytest.fixture
def _search_path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.mark.usefixtures("_search_path")
@pytest.mark.parametrize(
    ("code", "reason"), [("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit(0)", "SystemExit: 0")]
)
def test_a_plugin_that_fails_is_shown_with_its_reason(config: Compose, tmp_path: Path, code: str, reason: str) -> None:
    (tmp_path / "broken_plugin_of_a_test.py").write_text(f"{code}\n")
    text = one(check.with_libraries(config(*SMALL, "plugins=[broken_plugin_of_a_test]")))
    assert text == f"plugins: broken_plugin_of_a_test cannot be imported: {reason}"


PLUGIN = """
from timm.models import build_model_with_cfg, register_model
from timm.models.resnet import BasicBlock, ResNet

@register_model
def net_of_a_test(pretrained=False, **kwargs):
    return build_model_with_cfg(
        ResNet, "net_of_a_test", pretrained, block=BasicBlock, layers=(1, 1, 1, 1), channels=(8, 8, 8, 16), **kwargs
    )
"""


@pytest.mark.usefixtures("_search_path")
def test_a_plugin_makes_a_model_of_ones_own_known(config: Compose, tmp_path: Path) -> None:
    (tmp_path / "plugin_of_a_test.py").write_text(PLUGIN)
    assert one(check.with_libraries(config(*SMALL, "backbone=net_of_a_test"))).startswith(
        "backbone=net_of_a_test: timm has no"
    )
    assert check.with_libraries(config(*SMALL, "backbone=net_of_a_test", "plugins=[plugin_of_a_test]")) == []


def test_a_transform_may_be_given_in_one_form_and_then_in_another() -> None:
    for value in ("{x:[0,0.1],y:[0,0.1]}", "[0,0.1]", "0.1"):  # as the variants of a study do in one process
        given = ["usecase=casting", f"+augmentation.train.Affine.translate_percent={value}"]
        assert overrides.problems(given, [conf_folder()]) == []
    assert overrides.problems(["usecase=casting", "+augmentation.train.Affine=3"], [conf_folder()])
