"""No variable is read while the same call updates it, in the graphs that TensorFlow
runs.

A read that nothing orders against its variable's update gets the old or the new value,
as the threads happen to run: then the same seed gives other weights on a busy machine.
"""

import collections

import keras
import pytest

from zoo.__main__ import models

if keras.backend.backend() != "tensorflow":
    pytest.skip("looks into TensorFlow's graphs", allow_module_level=True)
context = pytest.importorskip("tensorflow.python.eager.context")

from test_backends import GANS, batch  # noqa: E402


def unordered_reads(step):
    """How many pairs of a read and an update of one variable no path orders."""
    context.context().enable_run_metadata()
    step()
    graphs = context.context().export_run_metadata().function_graphs
    context.context().disable_run_metadata()
    return sum(count(graph.post_optimization_graph) for graph in graphs)


def count(graph):
    inputs = {
        node.name: [i.lstrip("^").split(":")[0] for i in node.input]
        for node in graph.node
    }
    kind = {node.name: node.op for node in graph.node}

    def variable(name):
        while kind[name] == "Identity":
            name = inputs[name][0]
        return name

    reads, updates = collections.defaultdict(list), collections.defaultdict(list)
    for name in kind:
        if kind[name] == "ReadVariableOp":
            reads[variable(inputs[name][0])].append(name)
        elif kind[name].startswith("Assign") and kind[name].endswith("VariableOp"):
            updates[variable(inputs[name][0])].append(name)
    before = ancestors(inputs)
    pairs = [(r, u) for v in updates for u in updates[v] for r in reads[v]]
    return sum(r not in before[u] and u not in before[r] for r, u in pairs)


def ancestors(inputs):
    """{node: the nodes that run before it}.

    Each set is a number with a bit for a node.
    """
    place = {name: i for i, name in enumerate(inputs)}
    found = {}
    for root in inputs:
        stack = [root]  # recursion would go too deep
        while stack:
            missing = [i for i in inputs[stack[-1]] if i not in found]
            if missing:
                stack += missing
                continue
            name = stack.pop()
            found[name] = 0
            for i in inputs[name]:
                found[name] |= found[i] | 1 << place[i]
    return {name: Bits(bits, place) for name, bits in found.items()}


class Bits:
    def __init__(self, bits, place):
        self.bits, self.place = bits, place

    def __contains__(self, name):
        return bool(self.bits >> self.place[name] & 1)


def test_every_model_that_trains_is_looked_at():
    assert set(GANS) == set(models()) - {"inpaint"}


@pytest.mark.slow
@pytest.mark.parametrize("name", GANS)
def test_reads_are_ordered(name):
    gan = GANS[name]()
    images = batch(name)

    def steps():
        for _ in range(2 if name == "srgan" else 1):  # a step of each stage
            gan.train_step(images)

    assert unordered_reads(steps) == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_the_count_finds_a_race(ordered):
    tf = pytest.importorskip("tensorflow")
    with tf.Graph().as_default() as graph:
        v = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=(4,))
        read = tf.raw_ops.ReadVariableOp(resource=v, dtype=tf.float32)
        with tf.control_dependencies([read] if ordered else []):
            tf.raw_ops.AssignSubVariableOp(resource=v, value=tf.ones(4))
    assert count(graph.as_graph_def()) == (0 if ordered else 1)
