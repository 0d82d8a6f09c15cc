"""Every figure is tested in the course's style, which the test leaves behind as it found it."""

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from microgpt_ref import plots


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plots.use_style()
        yield
    plt.close("all")
