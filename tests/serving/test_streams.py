"""Parts of a batch that go through a model at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from partsight.serving.streams import PART, Streams


@pytest.fixture(autouse=True)
def threads_as_before() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("threads", "count"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (8, 4), (14, 2), (16, 4)]
)
def test_all_threads_are_used_and_each_stream_has_as_many(threads: int, count: int) -> None:
    with Streams(threads) as streams:
        assert streams.count == count
        shares: set[int] = set()
        for _ in range(8 * count):
            streams.call(lambda: shares.add(torch.get_num_threads()))
    assert count == 1 or shares == {threads // count}


def test_afterwards_new_threads_compute_with_all_cores_again() -> None:
    with Streams(2) as streams:
        streams.call(torch.get_num_threads)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2
    assert torch.get_num_threads() == 2


def test_a_gpus_one_stream_leaves_the_processors_threads_alone() -> None:
    torch.set_num_threads(3)
    with Streams(1) as streams:
        streams.call(torch.get_num_threads)
    assert torch.get_num_threads() == 3


def test_a_batch_is_taken_apart_for_streams_only() -> None:
    batch = torch.arange(2 * PART + 5)
    with Streams(1) as one, Streams(2) as two:
        assert [len(part) for part in one.parts(batch)] == [len(batch)]
        assert [len(part) for part in two.parts(batch)] == [PART, PART, 5]
        assert torch.equal(torch.cat(two.parts(batch)), batch)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_call_is_made_before_the_block_ends(threads: int) -> None:
    done: list[int] = []
    with Streams(threads) as streams:
        for number in range(50):
            streams.call(done.append, number)
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bad", [0, 49])
def test_what_a_call_raises_reaches_the_caller(threads: int, bad: int) -> None:
    def failing(number: int) -> None:
        if number == bad:
            raise ValueError(f"call {number}")

    def calling() -> None:
        with Streams(threads) as streams:
            for number in range(50):
                streams.call(failing, number)

    with pytest.raises(ValueError, match=f"call {bad}"):
        calling()


def test_who_calls_faster_than_the_streams_waits() -> None:
    """Otherwise all pictures would be read into memory before the first are scored."""
    go_on, called = threading.Event(), []

    def calling() -> None:
        with Streams(2) as streams:
            for number in range(50):
                streams.call(go_on.wait)
                called.append(number)

    caller = threading.Thread(target=calling, daemon=True)
    caller.start()
    try:
        for _ in range(600):
            caller.join(timeout=0.1)
            if len(called) >= 4:
                break
        caller.join(timeout=0.5)
        assert len(called) == 4
    finally:
        go_on.set()
        caller.join(timeout=60)
    assert len(called) == 50


def test_calls_that_have_not_begun_are_dropped_when_the_block_fails() -> None:
    begun, both, dropped = [], threading.Barrier(3), threading.Event()

    def slow(number: int) -> None:
        begun.append(number)
        both.wait(timeout=60)
        dropped.wait(timeout=60)

    def interrupted() -> None:
        with Streams(2) as streams:
            for number in range(4):
                streams.call(slow, number)
            streams._pending[-1].add_done_callback(lambda _: dropped.set())
            both.wait(timeout=60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(begun) == [0, 1]
