import time

import pytest

from rnnlm.steps.busy import BusyCores


@pytest.mark.parametrize("working", [True, False])
def test_a_thread_that_works_is_a_busy_core_and_one_that_sleeps_is_not(working: bool) -> None:
    busy, began = BusyCores(), time.process_time()
    if working:
        while time.process_time() - began < 0.2:
            sum(range(1_000))
    else:
        time.sleep(0.2)
    # On a machine that does other work too, this one gets less of a core.
    assert 0.05 < busy.mean() < 1.2 if working else busy.mean() < 0.3
