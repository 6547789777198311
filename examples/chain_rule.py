# %% [markdown]
# # The chain rule
#
# f = (x + y) z is computed in two steps: q = x + y, then f = q z.
# Backpropagation goes back from f. Each step multiplies the gradient that arrives
# by its own derivatives:
#
# - f = q z gives df/dq = z and df/dz = q.
# - q = x + y has the derivatives 1 and 1, so df/dx = df/dq * 1 and df/dy = df/dq * 1.

# %%
from pathlib import Path

from gpucnn import Tensor
from gpucnn.errors import MissingExtraError


def forward_and_backward(z_value):
    """The graph at x = -2, y = 5, the value of f, and its gradients by q, x, y and z."""
    x = Tensor(-2.0, requires_grad=True, name="x")
    y = Tensor(5.0, requires_grad=True, name="y")
    z = Tensor(z_value, requires_grad=True, name="z")
    q = x + y
    f = q * z
    q.name, f.name = "q", "f"

    q.retain_grad()  # else only x, y and z keep their gradients
    graph = f.graph()  # before the backward, which frees the record
    f.backward()
    print(f"with z = {z_value}:", graph, sep="\n")
    return graph, [f.item(), q.grad, x.grad, y.grad, z.grad]


def save(graph, path):
    Path("pictures").mkdir(exist_ok=True)
    try:
        graph.save(path)
    except MissingExtraError as error:  # without Graphviz there is no picture
        print(error)


# %% [markdown]
# First with z = -4. Each edge of the picture has the value that goes forward,
# and the gradient that comes back.

# %%
graph, results = forward_and_backward(z_value=-4.0)
save(graph, "pictures/chain_rule.svg")
graph

# %% [markdown]
# A well-known text prints z = 4 beside the results of z = -4, which is a misprint. If you
# follow it: these are the results of z = 4.

# %%
graph_4, results_4 = forward_and_backward(z_value=4.0)
save(graph_4, "pictures/chain_rule_z_4.svg")
graph_4

# %%
assert results == [-12, -4, -4, -4, 3], "f, df/dq, df/dx, df/dy or df/dz is wrong"
assert results_4 == [12, 4, 4, 4, 3], "f, df/dq, df/dx, df/dy or df/dz is wrong for z = 4"
