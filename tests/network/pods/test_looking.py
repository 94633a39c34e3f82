"""Waiting for what the kernel has said already but not done yet."""

from __future__ import annotations

import pytest

from holdfast.network.pods import links


def test_what_is_not_there_yet_is_looked_for_again():
    answers = iter((OSError("not yet"), False, True))

    def holds() -> bool:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    links._look_until(holds)
    assert next(answers, None) is None


def test_a_kernel_that_does_not_answer_is_not_asked_a_thousand_times():
    asked = []

    def holds() -> bool:
        asked.append(1)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        links._look_until(holds)
    assert len(asked) == 1
