"""The right and lower edge of a picture that a model never sees, because it fills no whole patch."""

from typing import Any, NamedTuple

from torch import Size, Tensor, nn


class Edge(NamedTuple):
    """Of pictures of one size."""

    seen: tuple[int, int]
    """Rows and columns, counted from the top left, that are seen."""
    larger: tuple[int, int]
    """The nearest height and width, none below the picture's, of which all is seen; `seen` is the nearest below."""


class Convolved(NamedTuple):
    """One call of a convolution."""

    layer: nn.Conv2d
    given: Size
    """(N, channels, height, width)"""
    result: Size
    """(N, features, h, w)"""


def watch(model: nn.Module) -> list[Convolved]:
    """A list to which each later forward pass adds its convolutions, in their order."""
    calls: list[Convolved] = []

    def note(layer: Any, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        calls.append(Convolved(layer, inputs[0].shape, result.shape))

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    return calls


def unseen(first: Convolved, height: int, width: int) -> Edge | None:
    """The edge that a model's first convolution leaves out of pictures of a size; None if there is none.

    Only of one that cuts its pictures into patches: without padding, and in steps of more than 2 (an Inception's 3 x 3
    in steps of 2 leaves out one pixel at most). Models that pad their pictures to whole patches leave out nothing.
    """
    kernel, stride = first.layer.kernel_size, first.layer.stride
    patches = first.layer.padding == (0, 0) and all(over >= by > 2 for over, by in zip(kernel, stride, strict=True))
    if not patches or first.given[2:] != (height, width):
        return None
    rows, columns = ((n - 1) * by + over for n, by, over in zip(first.result[2:], stride, kernel, strict=True))
    if rows >= height and columns >= width:
        return None
    larger = (height if rows >= height else rows + stride[0], width if columns >= width else columns + stride[1])
    return Edge((rows, columns), larger)


def words(edge: Edge, name: str, height: int, width: int) -> str:
    """What is not seen of a picture, and the nearest sizes without such an edge."""
    sides = [
        ("row", "image.height", height, edge.seen[0], edge.larger[0]),
        ("column", "image.width", width, edge.seen[1], edge.larger[1]),
    ]
    cut = [side for side in sides if side[3] < side[2]]
    lost = " and ".join(f"{size - seen} {side}{'s' * (size - seen > 1)}" for side, _, size, seen, _ in cut)
    sizes = " and ".join(f"{key}={seen} or {larger}" for _, key, _, seen, larger in cut)
    share = 100 * (1 - edge.seen[0] * edge.seen[1] / (height * width))
    return (
        f"{name} takes pictures of {height} x {width} apart into patches from the top left, and never sees the last "
        f"{lost}: {share:.2g} % of each picture. What shows only there cannot be found. Sizes that it sees whole: "
        f"{sizes}"
    )
