"""Progress bars: drawn where somebody looks, and closed when all is done."""

import pytest

from minicnn.training import bars


class Bar:
    """What tqdm is asked for."""

    def __init__(self, **settings):
        self.settings, self.total, self.n, self.closed = settings, None, 0, False

    def update(self, more):
        self.n += more

    def close(self):
        self.closed = True


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_bar_follows_what_is_done_and_is_closed_at_the_end(monkeypatch, looked_at):
    drawn = []
    monkeypatch.setattr(bars, "tqdm", lambda **settings: drawn.append(Bar(**settings)) or drawn[-1])
    monkeypatch.setattr(bars, "on_terminal", lambda: looked_at)
    progress = bars.picture_bar("measuring")
    (bar,) = drawn
    assert (bar.settings["desc"], bar.settings["disable"]) == ("measuring", not looked_at)
    for done in (2, 3, 5):
        progress(done, 5)
        assert (bar.n, bar.total, bar.closed) == (done, 5, done == 5)
