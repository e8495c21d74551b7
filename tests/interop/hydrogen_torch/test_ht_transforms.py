"""Custom augmentations: what albumentations wrote in any version means the same today, or is refused by name."""

import json
import warnings
from typing import Any

import albumentations as A
import numpy as np
import pytest
from exported import RESIZE

from partsight.config import AugmentationConfig, ImageConfig
from partsight.data import augmentation
from partsight.errors import PartsightError
from partsight.interop.hydrogen_torch import old_transforms
from partsight.interop.hydrogen_torch.transforms import read

SIZE = {"Resize": {"height": 16, "width": 16}}


def serialised(*transforms: dict[str, Any], **compose: Any) -> str:
    top = {"__class_fullname__": "Compose", "p": 1.0, "transforms": list(transforms), **compose}
    return json.dumps({"__version__": "1.1.0", "transform": top})


def one(kind: str, /, **arguments: Any) -> dict[str, Any]:
    return {"__class_fullname__": kind, **arguments}


def refusal(text: str) -> str:
    with pytest.raises(PartsightError) as raised:
        read(text)
    return str(raised.value)


def test_the_tokens_stand_for_the_size_of_the_picture() -> None:
    resize = {"p": 1.0, "height": "${image.height}", "width": "${image.width}", "interpolation": 1}
    assert read(RESIZE) == ({"Resize": resize}, [])
    assert read(RESIZE.replace("IMAGE_HEIGHT", '"IMAGE_HEIGHT"')) == ({"Resize": resize}, [])


@pytest.mark.parametrize(
    ("before", "name", "today"),
    [
        (one("albumentations.augmentations.transforms.HorizontalFlip", always_apply=True, p=0.5), "HorizontalFlip",
         {"p": 1.0}),
        (one("VerticalFlip", always_apply=False, p=0.3), "VerticalFlip", {"p": 0.3}),
        (one("RandomResizedCrop", height=8, width=9, scale=[0.5, 1], p=1), "RandomResizedCrop",
         {"size": [8, 9], "scale": [0.5, 1], "p": 1}),
        (one("CoarseDropout", max_holes=8, max_height=4, max_width=5, min_holes=None, min_height=2, min_width=None,
             fill_value=0, mask_fill_value=None, p=0.5), "CoarseDropout",
         {"num_holes_range": [8, 8], "hole_height_range": [2, 4], "hole_width_range": [5, 5], "fill": 0, "p": 0.5}),
        (one("Cutout", num_holes=3, max_h_size=4, max_w_size=5, fill_value=9), "CoarseDropout",
         {"num_holes_range": [3, 3], "hole_height_range": [4, 4], "hole_width_range": [5, 5], "fill": 9}),
        (one("ShiftScaleRotate", shift_limit_x=[-0.1, 0.1], shift_limit_y=[0, 0],
             scale_limit=[-0.09999999999999998, 0.2], rotate_limit=[-15, 15], interpolation=1, border_mode=4,
             value=None, mask_value=None, p=0.5), "Affine",
         {"translate_percent": {"x": [-0.1, 0.1], "y": [0, 0]}, "scale": [0.9, 1.2], "rotate": [-15, 15],
          "keep_ratio": True, "border_mode": 4, "interpolation": 1, "p": 0.5}),
        (one("ShiftScaleRotate", shift_limit=0.1, scale_limit=0.1, rotate_limit=20), "Affine",
         {"translate_percent": {"x": [-0.1, 0.1], "y": [-0.1, 0.1]}, "scale": [0.9, 1.1], "rotate": [-20, 20],
          "keep_ratio": True, "border_mode": 4}),
        (one("GaussNoise", var_limit=[0.0, 650.25], mean=25.5, per_channel=True), "GaussNoise",
         {"std_range": [0.0, 0.1], "mean_range": [0.1, 0.1], "per_channel": True}),
        (one("GaussNoise", var_limit=650.25), "GaussNoise", {"std_range": [0.0, 0.1]}),
        (one("ImageCompression", quality_lower=80, quality_upper=100, compression_type=0), "ImageCompression",
         {"quality_range": [80, 100], "compression_type": "jpeg"}),
        (one("JpegCompression", quality_lower=60, quality_upper=90), "ImageCompression",
         {"quality_range": [60, 90], "compression_type": "jpeg"}),
        (one("Downscale", scale_min=0.25, scale_max=0.5, interpolation=0), "Downscale",
         {"scale_range": [0.25, 0.5], "interpolation_pair": {"downscale": 0, "upscale": 0}}),
        (one("RandomBrightness", limit=[-0.1, 0.1]), "RandomBrightnessContrast",
         {"brightness_limit": [-0.1, 0.1], "contrast_limit": [0, 0]}),
        (one("RandomContrast", limit=[-0.1, 0.1]), "RandomBrightnessContrast",
         {"brightness_limit": [0, 0], "contrast_limit": [-0.1, 0.1]}),
        (one("Solarize", threshold=128), "Solarize", {"threshold_range": [0.501961, 0.501961]}),
        (one("RandomGamma", gamma_limit=[80, 120], eps=None), "RandomGamma", {"gamma_limit": [80, 120]}),
        (one("RandomGamma", gamma_limit=[80, 120], eps=1e-07), "RandomGamma", {"gamma_limit": [80, 120]}),
        (one("Rotate", limit=[-90, 90], border_mode=0, value=[1, 2, 3], mask_value=None), "Rotate",
         {"limit": [-90, 90], "border_mode": 0, "fill": [1, 2, 3]}),
        (one("PadIfNeeded", min_height=20, min_width=20, border_mode=0, value=7), "PadIfNeeded",
         {"min_height": 20, "min_width": 20, "border_mode": 0, "fill": 7}),
        (one("Affine", scale=[0.9, 1.1], cval=3, cval_mask=0, mode=4), "Affine",
         {"scale": [0.9, 1.1], "fill": 3, "border_mode": 4}),
        (one("PiecewiseAffine", scale=[0.03, 0.05], cval=0, mode="reflect"), "PiecewiseAffine",
         {"scale": [0.03, 0.05], "fill": 0, "border_mode": 4}),
        (one("Perspective", scale=[0.05, 0.1], pad_mode=0, pad_val=5, mask_pad_val=0), "Perspective",
         {"scale": [0.05, 0.1], "border_mode": 0, "fill": 5}),
        (one("AdvancedBlur", sigmaX_limit=[0.2, 1], sigmaY_limit=[0.2, 1]), "AdvancedBlur",
         {"sigma_x_limit": [0.2, 1], "sigma_y_limit": [0.2, 1]}),
        (one("GaussianBlur", blur_limit=[3, 7]), "GaussianBlur", {"sigma_limit": 0, "blur_limit": [3, 7]}),
        (one("RandomFog", fog_coef_lower=0.3, fog_coef_upper=1, alpha_coef=0.08), "RandomFog",
         {"fog_coef_range": [0.3, 1], "alpha_coef": 0.08}),
        (one("RandomRain", slant_lower=-10, slant_upper=10, rain_type=None), "RandomRain",
         {"slant_range": [-10, 10], "rain_type": "default"}),
        (one("RandomSunFlare", angle_lower=0, angle_upper=1, num_flare_circles_lower=6, num_flare_circles_upper=10),
         "RandomSunFlare", {"angle_range": [0, 1], "num_flare_circles_range": [6, 10]}),
        (one("GridDropout", ratio=0.5, unit_size_min=2, unit_size_max=4, shift_x=0, shift_y=0, fill_value=0),
         "GridDropout", {"ratio": 0.5, "unit_size_range": [2, 4], "shift_xy": [0, 0], "fill": 0}),
        (one("IAAFliplr", p=0.5), "HorizontalFlip", {"p": 0.5}),
        (one("RandomBrightnessContrast", brightness_limit=[-0.2, 0.2], contrast_limit=[-0.2, 0.2],
             brightness_by_max=True), "RandomBrightnessContrast",
         {"brightness_limit": [-0.2, 0.2], "contrast_limit": [-0.2, 0.2], "brightness_by_max": True}),
    ],
    ids=lambda value: value["__class_fullname__"] if isinstance(value, dict) and "__class_fullname__" in value else "",
)  # fmt: skip
def test_old_words_are_said_in_todays_and_albumentations_takes_them(
    before: dict[str, Any], name: str, today: dict[str, Any]
) -> None:
    found, remarks = read(serialised(before))
    assert found == {name: today}
    assert remarks == []
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not valid.*|.*is a special case.*|.*deprecated.*")
        augmentation.pipeline(found)
    faults = augmentation.problems(AugmentationConfig(found | SIZE, SIZE), ImageConfig(height=16, width=16))
    assert [fault for fault in faults if "fails on" not in fault] == []


def test_one_scale_for_both_axes_as_shift_scale_rotate_had() -> None:
    found, _ = read(serialised(one("ShiftScaleRotate", shift_limit=0, scale_limit=0.5, rotate_limit=0, p=1)))
    picture = np.zeros((65, 65, 3), np.uint8)
    picture[24:41, 24:41] = 255
    pipeline, sizes = augmentation.pipeline(found), set()
    for seed in range(20):
        seen = augmentation.apply(pipeline, picture, (seed,))[:, :, 0] > 127
        height, width = int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum())
        assert abs(height - width) <= 1
        sizes.add(height)
    assert len(sizes) > 5


def test_what_is_no_more_is_said_and_the_rest_is_kept() -> None:
    found, remarks = read(serialised(one("ElasticTransform", alpha=1, sigma=50, alpha_affine=50, p=0.5)))
    assert found == {"ElasticTransform": {"alpha": 1, "sigma": 50, "p": 0.5}}
    assert remarks == ["albumentations 2 has no ElasticTransform.alpha_affine; the rest of ElasticTransform is kept"]


def test_a_transform_that_stands_there_again_keeps_its_place_and_its_arguments() -> None:
    found, _ = read(serialised(one("HorizontalFlip", p=0.1), one("Blur", p=0.2), one("HorizontalFlip", p=0.3)))
    assert found == {"HorizontalFlip": {"p": 0.1}, "Blur": {"p": 0.2}, "HorizontalFlip_2": {"p": 0.3}}
    built = augmentation.pipeline(found).transforms
    assert [(type(t).__name__, t.p) for t in built] == [("HorizontalFlip", 0.1), ("Blur", 0.2), ("HorizontalFlip", 0.3)]


def test_two_old_transforms_of_one_kind_are_two() -> None:
    found, _ = read(serialised(one("Cutout"), one("CoarseDropout", max_holes=1), one("Cutout")))
    assert list(found) == ["CoarseDropout", "CoarseDropout_2", "CoarseDropout_3"]


def test_transforms_of_transforms_keep_their_form() -> None:
    inner = one(
        "OneOf", p=0.3, transforms=[one("Blur", p=1), one("GaussNoise", var_limit=[10, 50], p=1), one("Blur", p=0.5)]
    )
    found, _ = read(serialised(inner, one("Compose", p=0.9, transforms=[one("Transpose")])))
    assert list(found) == ["OneOf", "Sequential"]
    assert list(found["OneOf"]["transforms"]) == ["Blur", "GaussNoise", "Blur_2"]
    one_of, sequential = augmentation.pipeline(found).transforms
    assert isinstance(one_of, A.OneOf)
    assert (one_of.p, [type(t).__name__ for t in one_of.transforms]) == (0.3, ["Blur", "GaussNoise", "Blur"])
    assert (type(sequential), sequential.p) == (A.Sequential, 0.9)


def test_transforms_within_others_draw_for_themselves() -> None:
    inner = one("Sequential", p=0.8, transforms=[one("HorizontalFlip", p=0.5), one("VerticalFlip", p=0.5)])
    pipeline = augmentation.pipeline(read(serialised(inner))[0])
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    seen = [augmentation.apply(pipeline, picture, (seed,)).tobytes() for seed in range(60)]
    assert len(set(seen)) == 4
    assert seen == [augmentation.apply(pipeline, picture, (seed,)).tobytes() for seed in range(60)]


def test_flip_is_one_of_three() -> None:
    pipeline = augmentation.pipeline(read(serialised(one("Flip", p=1.0)))[0])
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    seen = {augmentation.apply(pipeline, picture, (seed,)).tobytes() for seed in range(40)}
    assert seen == {picture[:, ::-1].tobytes(), picture[::-1].tobytes(), picture[::-1, ::-1].tobytes()}


def test_what_todays_albumentations_writes_is_read_back() -> None:
    written = A.Compose([A.Resize(16, 16), A.OneOf([A.Blur(), A.GaussNoise()], p=0.3), A.CoarseDropout(), A.Affine()])
    found, _ = read(json.dumps(A.to_dict(written)))
    assert augmentation.problems(AugmentationConfig(found, SIZE), ImageConfig(height=16, width=16)) == []
    assert [type(t).__name__ for t in augmentation.pipeline(found).transforms] == [
        type(t).__name__ for t in written.transforms
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (serialised(one("Normalize", mean=[0.5])), "Normalize: image.normalization does this, inside the model"),
        (serialised(one("ToTensorV2")), "ToTensorV2: pictures become tensors anyway"),
        (serialised(one("Lambda", name="x")), "Lambda: it is code"),
        (serialised(one("OneOf", transforms=[])), "OneOf: holds no transforms"),
        (serialised(one("Resize"), p=0.5), "Compose has p=0.5"),
        (serialised(one("Resize"), bbox_params={"format": "coco"}), "Compose has bbox_params"),
        (serialised({"height": 3}), "should be a transform with its __class_fullname__"),
        (serialised(one("GaussNoise", var_limit="x")), "GaussNoise: its arguments have an unknown form"),
        ("[]", "should be a Compose"),
        ('{"transform": {"__class_fullname__": "Resize"}}', "should be a Compose"),
        ("{'a': 1}", "not readable as JSON"),
        ('{"transform": NaN}', "not readable as JSON: NaN is not a number"),
        ("[" * 100000, "not readable as JSON"),
        (serialised(one("Blur", p="$\u200b{x}")).replace("\\u200b", "").replace("$", "\\u0024"), "holds ${"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_taken_over_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_all_transforms_that_cannot_be_taken_over_are_named() -> None:
    text = refusal(serialised(one("Normalize"), one("Blur"), one("Lambda")))
    assert "Normalize" in text
    assert "Lambda" in text


def test_the_tables_speak_of_transforms_there_are() -> None:
    """The names that arguments are changed for, and the names that old transforms get."""
    names = {*old_transforms.PAIRS, *old_transforms.GONE}
    names |= {old_transforms.SPECIAL[name]({})[0] for name in old_transforms.SPECIAL}
    assert [name for name in names if not hasattr(A, name)] == []
