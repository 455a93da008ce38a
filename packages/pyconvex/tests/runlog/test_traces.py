import doctest
import re

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runlog import otlp, traces
from pyconvex.runlog.traces import trace_id_of


def test_the_trace_of_a_request_is_what_everybody_computes_who_knows_its_id() -> None:
    assert trace_id_of("a1b2c3d4e5f60718") == "b1e7cde893efc62d38832d7e07c7291e"


@given(st.text())
def test_every_request_id_has_a_trace_id(request_id: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", trace_id_of(request_id))
    assert trace_id_of(request_id) == trace_id_of(request_id)


def test_the_example_in_the_documentation_runs() -> None:
    for module in (traces, otlp):
        assert doctest.testmod(module).failed == 0
