from collections.abc import Iterator

import pytest

from rnnlm import kernel


@pytest.fixture(scope="module")
def computed_by(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the native kernels compute, or TensorFlow's operations alone."""
    if request.param == "tensorflow":
        with kernel.switched_off():
            yield request.param
        return
    if not kernel.is_usable():
        pytest.skip("the kernels were not compiled")
    yield request.param
