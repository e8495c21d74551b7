"""Several parts of a batch go through a model at once, each on its share of the cores."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import torch
from torch import Tensor

MOST = 4
"""More streams would take more memory and hardly be faster."""

PART = 16
"""Pictures of a part. With 8, oneDNN computes MobileNetV2 and ResNet-50 at two thirds of the speed."""


class Streams:
    """Threads that call a function on parts of a batch, within a `with` block.

    When PyTorch computes one batch on all cores, each layer waits for the slowest core, and a loader process that takes
    one core for a moment stops the others too. Streams wait for each other only at the end: MobileNetV2 takes 7.2 ms of
    processor time per picture on two cores, not 9.7 (docs/performance.md, streams). Python's lock hardly matters:
    PyTorch releases it in every layer.

    Args:
        threads: that PyTorch computes with; each stream gets the same number of them. With one stream, the function is
            called at once, on whole batches.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.count = next(count for count in range(min(MOST, threads), 0, -1) if threads % count == 0)
        self._pool = ThreadPoolExecutor(self.count, "stream", torch.set_num_threads, (threads // self.count,))
        self._pending: deque[Future[None]] = deque()

    def parts(self, batch: Tensor) -> tuple[Tensor, ...]:
        """(N, ...) in pieces for `call`."""
        return (batch,) if self.count == 1 else torch.split(batch, PART)

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls it on one of the streams; waits while all of them are busy and have their next calls.

        Raises:
            Exception: what this or an earlier call raised.
        """
        if self.count == 1:
            function(*arguments)
            return
        self._pending.append(self._pool.submit(function, *arguments))
        if len(self._pending) > 2 * self.count:
            self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        if self.count > 1:
            torch.set_num_threads(self.threads)  # threads to come would get as few as a stream
        if kind is None:
            for call in self._pending:
                call.result()
