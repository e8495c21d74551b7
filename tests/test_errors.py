"""Problems are told once, each with the first that has it."""

from partsight.errors import once


def test_a_problem_that_several_have_is_told_with_the_first() -> None:
    found = [("epochs=1: too few", "a"), ("epochs=1: too few", "b"), ("epochs=1: too", "b")]
    assert once(found, "variant") == ["epochs=1: too few [variant: a]", "epochs=1: too [variant: b]"]
