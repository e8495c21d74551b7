"""Whether a yaml is for image classification, and if not, for what."""

from partsight.interop.hydrogen_torch.source import Source, shown
from partsight.interop.hydrogen_torch.values import plain

SECTIONS = ("architecture", "augmentation", "dataset", "environment", "image", "logging", "prediction", "training")
"""The sections of an exported yaml, besides experiment_name."""

OWN = {"imageclassification", "2dimageclassification", "classification"}

EVIDENCE: dict[str, dict[str, tuple[str, ...]]] = {
    "audio or speech": {
        "section": ("audio",),
        "key": ("audio_column", "number_of_audios", "spectrogram_normalization", "mix_audio"),
    },
    "text": {
        "section": ("tokenizer",),
        "key": ("text_column", "text_columns", "question_column", "context_column", "number_of_texts", "prompt_column"),
        "prediction.metric": ("BLEU", "CHRF", "ROUGE", "Perplexity", "WER", "CER", "Jaccard", "Exact Match"),
    },
    "image metric learning": {
        "key": ("embedding_size", "top_k_similar", "arcface_margin", "arcface_scale"),
        "training.loss_function": ("ArcFace", "CosFace", "SubCenterArcFace", "Triplet"),
    },
    "image object detection": {
        "key": ("x_min_column", "x_max_column", "nms_iou_threshold", "max_det_per_image", "anchor_scale"),
        "prediction.metric": ("mAP",),
    },
    "image segmentation": {
        "key": ("rle_mask_column", "rle_mask_columns", "mask_column", "architecture.architecture", "dice_weight"),
        "prediction.metric": ("IoU", "Dice"),
        "training.loss_function": ("BCEDice", "Dice", "Jaccard", "Lovasz", "BCELovasz", "FocalDice", "Tversky"),
    },
    "3D images": {"key": ("image_depth",)},
    "graph": {"section": ("graph",), "key": ("node_column", "edge_dataframe")},
    "image regression": {
        "prediction.metric": ("MAE", "MSE", "RMSE", "RMSLE", "MAPE", "SMAPE", "R2", "R2_Score"),
        "training.loss_function": ("MAE", "MSE", "RMSE", "Huber", "SmoothL1", "RMSLE", "L1", "L2"),
    },
}
"""Problem type to what only its yaml has: top-level sections, key names anywhere, values."""


def problem(source: Source) -> str | None:
    """Why a yaml is not for image classification: its stated or detected problem type, with the evidence."""
    stated = next((v for key, v in source.leaves.items() if key.rpartition(".")[2] == "problem_type"), None)
    if stated is not None and plain(str(stated)) not in OWN:
        return f"a Hydrogen Torch yaml for {shown(stated)} (problem_type); only image classification can be imported"
    for name, signs in EVIDENCE.items():
        if (sign := _sign(source, signs)) is not None:
            return f"a Hydrogen Torch yaml for {name} (it has {sign}); only image classification can be imported"
    if len(source.sections & set(SECTIONS)) < 2 and not any("train_dataframe" in key for key in source.leaves):
        return f"not a Hydrogen Torch yaml: it has none of the sections {', '.join(SECTIONS)}"
    return None


def _sign(source: Source, signs: dict[str, tuple[str, ...]]) -> str | None:
    for section in signs.get("section", ()):
        if section in source.sections:
            return f"a section {section}"
    for key in source.leaves:
        if {key, key.rpartition(".")[2]} & set(signs.get("key", ())):
            return key
        last = next((k for k in signs if "." in k and k.rpartition(".")[2] == key.rpartition(".")[2]), None)
        value = source.leaves[key]
        if last and isinstance(value, str) and plain(value) in {plain(word) for word in signs[last]}:
            return f"{key}: {shown(value)}"
    return None
