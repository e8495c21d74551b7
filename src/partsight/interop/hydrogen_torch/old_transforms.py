"""Translates transforms as written by albumentations 0.5 to 1.4 to albumentations 2.

Tables if only a name or a pair of arguments changed, functions if arithmetic is needed; each keeps what the transform
does. Anything else is passed on unchanged: albumentations itself reports arguments it does not know.
"""

import math
from collections.abc import Callable
from typing import Any

Arguments = dict[str, Any]

RENAMED = {
    "value": "fill",
    "fill_value": "fill",
    "cval": "fill",
    "pad_cval": "fill",
    "pad_val": "fill",
    "pad_mode": "border_mode",
    "sigmaX_limit": "sigma_x_limit",
    "sigmaY_limit": "sigma_y_limit",
}
"""Argument to its new name, in every transform."""

WITHOUT_EFFECT = {
    *("mask_value", "mask_fill_value", "fill_mask", "cval_mask", "pad_cval_mask", "mask_pad_val", "mask_drop_value"),
    *("mask_interpolation", "keypoint_remapping_method", "remove_invisible", "mask_params"),
}
"""Arguments about masks and keypoints: a classifier's pictures have none."""

PAIRS: dict[str, dict[str, tuple[str, str]]] = {
    "RandomResizedCrop": {"size": ("height", "width")},
    "RandomSizedCrop": {"size": ("height", "width")},
    "ImageCompression": {"quality_range": ("quality_lower", "quality_upper")},
    "Downscale": {"scale_range": ("scale_min", "scale_max")},
    "RandomFog": {"fog_coef_range": ("fog_coef_lower", "fog_coef_upper")},
    "RandomRain": {"slant_range": ("slant_lower", "slant_upper")},
    "RandomSnow": {"snow_point_range": ("snow_point_lower", "snow_point_upper")},
    "RandomShadow": {"num_shadows_limit": ("num_shadows_lower", "num_shadows_upper")},
    "RandomSunFlare": {
        "angle_range": ("angle_lower", "angle_upper"),
        "num_flare_circles_range": ("num_flare_circles_lower", "num_flare_circles_upper"),
    },
    "GridDropout": {
        "unit_size_range": ("unit_size_min", "unit_size_max"),
        "holes_number_xy": ("holes_number_x", "holes_number_y"),
        "shift_xy": ("shift_x", "shift_y"),
    },
}
"""Two arguments that became one."""

GONE: dict[str, dict[str, Any]] = {
    "RandomGamma": {"eps": 1e-07},
    "ElasticTransform": {"alpha_affine": 0},
    "OpticalDistortion": {"shift_limit": 0},
}
"""Arguments that no longer exist, with the value at which they had no or almost no effect."""

REFUSED = {
    **dict.fromkeys(("Normalize", "ToFloat", "FromFloat"), "image.normalization does this, inside the model"),
    **dict.fromkeys(("ToTensor", "ToTensorV2"), "pictures become tensors anyway"),
    **dict.fromkeys(("FDA", "HistogramMatching", "PixelDistributionAdaptation", "TemplateTransform", "MixUp"),
                    "it needs other pictures, which the yaml does not hold"),
    **dict.fromkeys(("Lambda",), "it is code"),
    **dict.fromkeys(("MaskDropout", "CropNonEmptyMaskIfExists", "RandomSizedBBoxSafeCrop", "BBoxSafeRandomCrop",
                     "RandomCropNearBBox"), "it needs masks or boxes"),
    **dict.fromkeys(("ReplayCompose", "SelectiveChannelTransform", "PerChannel"), "it has no counterpart"),
}  # fmt: skip
"""Transforms that cannot be imported, with the reason."""


def today(name: str, given: Arguments) -> tuple[str, Arguments, list[str]]:
    """Name and arguments in albumentations 2, and remarks on what differs.

    Arguments that are None are left to their default; `always_apply` is p = 1.
    """
    arguments = {RENAMED.get(key, key): value for key, value in given.items() if value is not None}
    arguments = {key: value for key, value in arguments.items() if key not in WITHOUT_EFFECT}
    if arguments.pop("always_apply", False):
        arguments["p"] = 1.0
    remarks = []
    for key, harmless in GONE.get(name, {}).items():
        if arguments.pop(key, harmless) not in (harmless, [0, 0], [0.0, 0.0]):
            remarks.append(f"albumentations 2 has no {name}.{key}; the rest of {name} is kept")
    if name in SPECIAL:
        name, arguments = SPECIAL[name](arguments)
    for new, (low, high) in PAIRS.get(name, {}).items():
        if low in arguments and high in arguments:
            arguments[new] = [arguments.pop(low), arguments.pop(high)]
    return name, arguments, remarks


def _shift_scale_rotate(a: Arguments) -> tuple[str, Arguments]:
    """An Affine with one scale for both axes; the old name would still work but warn at every start."""
    both = _pair(a.pop("shift_limit", [-0.0625, 0.0625]))
    scale = _pair(a.pop("scale_limit", [-0.1, 0.1]))
    return "Affine", {
        "translate_percent": {"x": _pair(a.pop("shift_limit_x", both)), "y": _pair(a.pop("shift_limit_y", both))},
        "scale": [round(1 + limit, 9) for limit in scale],
        "rotate": _pair(a.pop("rotate_limit", [-45, 45])),
        "keep_ratio": True,
        "border_mode": a.pop("border_mode", _REFLECT_101),
        **a,
    }


def _affine(a: Arguments) -> tuple[str, Arguments]:
    mode = a.pop("mode", None)
    return "Affine", a | ({} if mode is None else {"border_mode": _BORDERS.get(mode, mode)})


def _piecewise_affine(a: Arguments) -> tuple[str, Arguments]:
    return "PiecewiseAffine", _affine(a)[1]


def _coarse_dropout(a: Arguments) -> tuple[str, Arguments]:
    """Sizes keep their meaning: whole numbers are pixels, fractions are shares of the picture."""
    if not {"max_holes", "max_height", "max_width", "min_holes", "min_height", "min_width"} & set(a):
        return "CoarseDropout", a
    ranges = {}
    for new, part in (("num_holes_range", "holes"), ("hole_height_range", "height"), ("hole_width_range", "width")):
        high = a.pop(f"max_{part}", 8)
        ranges[new] = [a.pop(f"min_{part}", high), high]
    return "CoarseDropout", ranges | a


def _cutout(a: Arguments) -> tuple[str, Arguments]:
    count, height, width = a.pop("num_holes", 8), a.pop("max_h_size", 8), a.pop("max_w_size", 8)
    ranges = {
        "num_holes_range": [count, count],
        "hole_height_range": [height, height],
        "hole_width_range": [width, width],
    }
    return "CoarseDropout", ranges | a


def _gauss_noise(a: Arguments) -> tuple[str, Arguments]:
    """A variance in units of 0..255 became a standard deviation as a share of the largest value."""
    if "var_limit" in a:
        variance = a.pop("var_limit")
        low, high = (0, variance) if isinstance(variance, int | float) else variance
        a["std_range"] = [round(math.sqrt(v) / 255, 6) for v in (low, high)]
    if "mean" in a:
        mean = round(a.pop("mean") / 255, 6)
        a["mean_range"] = [mean, mean]
    return "GaussNoise", a


def _image_compression(a: Arguments) -> tuple[str, Arguments]:
    if "compression_type" in a:
        kind = str(a["compression_type"]).rpartition(".")[2].lower()
        a["compression_type"] = {"0": "jpeg", "1": "webp"}.get(kind, kind)
    return "ImageCompression", a


def _downscale(a: Arguments) -> tuple[str, Arguments]:
    if isinstance(method := a.pop("interpolation", None), int):
        a["interpolation_pair"] = {"downscale": method, "upscale": method}
    elif isinstance(method, dict):
        a["interpolation_pair"] = {key: value for key, value in method.items() if key in ("downscale", "upscale")}
    return "Downscale", a


def _solarize(a: Arguments) -> tuple[str, Arguments]:
    if "threshold" in a:
        threshold = a.pop("threshold")
        both = threshold if isinstance(threshold, list) else [threshold, threshold]
        a["threshold_range"] = [round(value / 255, 6) for value in both]
    return "Solarize", a


def _random_rain(a: Arguments) -> tuple[str, Arguments]:
    return "RandomRain", {"rain_type": "default"} | a


def _gaussian_blur(a: Arguments) -> tuple[str, Arguments]:
    """A sigma of 0 meant: from the kernel's size; written out because the default has changed."""
    return "GaussianBlur", {"sigma_limit": 0} | a


def _random_brightness(a: Arguments) -> tuple[str, Arguments]:
    limit = a.pop("limit", 0.2)
    return "RandomBrightnessContrast", {"brightness_limit": limit, "contrast_limit": [0, 0]} | a


def _random_contrast(a: Arguments) -> tuple[str, Arguments]:
    limit = a.pop("limit", 0.2)
    return "RandomBrightnessContrast", {"brightness_limit": [0, 0], "contrast_limit": limit} | a


def _flip(a: Arguments) -> tuple[str, Arguments]:
    """One of: left to right, upside down, both."""
    both = {"HorizontalFlip": {"p": 1.0}, "VerticalFlip": {"p": 1.0}}
    return "OneOf", {"transforms": both | {"Sequential": {"transforms": dict(both), "p": 1.0}}, "p": a.get("p", 0.5)}


def _named(name: str) -> Callable[[Arguments], tuple[str, Arguments]]:
    return lambda a: (name, a)


_REFLECT_101 = 4
_BORDERS = {"constant": 0, "edge": 1, "symmetric": 2, "wrap": 3, "reflect": 4}
"""NumPy's names of border modes to OpenCV's numbers."""

SPECIAL: dict[str, Callable[[Arguments], tuple[str, Arguments]]] = {
    "Affine": _affine,
    "CoarseDropout": _coarse_dropout,
    "Cutout": _cutout,
    "Downscale": _downscale,
    "Flip": _flip,
    "GaussNoise": _gauss_noise,
    "GaussianBlur": _gaussian_blur,
    "IAAFliplr": _named("HorizontalFlip"),
    "IAAFlipud": _named("VerticalFlip"),
    "ImageCompression": _image_compression,
    "JpegCompression": lambda a: ("ImageCompression", {"compression_type": "jpeg"} | a),
    "PiecewiseAffine": _piecewise_affine,
    "RandomBrightness": _random_brightness,
    "RandomContrast": _random_contrast,
    "RandomRain": _random_rain,
    "ShiftScaleRotate": _shift_scale_rotate,
    "Solarize": _solarize,
}


def _pair(limit: Any) -> list[float]:
    """As albumentations reads a limit: one number is a range around zero."""
    return [-abs(limit), abs(limit)] if isinstance(limit, int | float) else list(limit)
