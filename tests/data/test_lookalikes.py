"""Signatures: what they are made of, for every kind of picture."""

import numpy as np
import pytest
from tiny import noise

from partsight.data import lookalikes


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 300, 3), (40, 40, 2), (33, 20, 4), (50, 60, 7)])
def test_every_picture_has_a_signature_of_one_size(shape: tuple[int, int, int]) -> None:
    assert len(lookalikes.signature(noise(1, *shape))) == lookalikes.SIDE**2


def test_a_signature_follows_the_picture() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = 200
    grey = np.frombuffer(lookalikes.signature(picture), np.uint8).reshape(lookalikes.SIDE, -1)
    assert (grey[:16] == 200).all()
    assert (grey[16:] == 0).all()
