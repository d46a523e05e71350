"""Every example in flowcore's docstrings runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import flowcore

MODULES = [m.name for m in pkgutil.walk_packages(flowcore.__path__, "flowcore.")]
EXAMPLES = {
    test.name: test
    for name in MODULES
    for test in doctest.DocTestFinder().find(importlib.import_module(name))
    if test.examples
}


def test_there_are_examples():
    assert len(EXAMPLES) > 20


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_prints_what_it_says(name):
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(EXAMPLES[name], out=said.append)
    assert not runner.failures, "".join(said)
