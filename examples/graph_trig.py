# %% [markdown]
# # A larger graph, with cosine and sine
#
# Two inputs, w1 and w2, go through five operations to the result w7.
# Both inputs reach w7 on two ways. Each way changes w7, and the changes add up:
# the gradient is the sum over the ways.

# %%
import math
from pathlib import Path

import numpy as np

from gpucnn import Tensor
from gpucnn import functions as F
from gpucnn.errors import MissingExtraError

w1 = Tensor(np.array(2.0), requires_grad=True, name="w1")  # float64
w2 = Tensor(np.array(3.0), requires_grad=True, name="w2")
w3 = F.cos(w1)
w4 = F.sin(w2)
w5 = w3 * w4
w6 = w1 / w2
w7 = w5 + w6
w3.name, w4.name, w5.name, w6.name, w7.name = "w3", "w4", "w5", "w6", "w7"

graph = w7.graph()  # it remembers the tensors, before the backward frees the record
w7.backward()
for w in [w1, w2, w3, w4, w5, w6, w7]:
    print(f"{w.name} = {w.item():8.5f}   dw7/d{w.name} = {w.grad:8.5f}")

# %%
Path("pictures").mkdir(exist_ok=True)
try:
    graph.save("pictures/graph_trig.svg")
except MissingExtraError as error:  # without Graphviz there is no picture
    print(error)
graph

# %% [markdown]
# The same by hand, with the rules of calculus:
#
# - dw7/dw1 = -sin(w1) sin(w2) + 1 / w2, by way of w3 and of w6.
# - dw7/dw2 = cos(w1) cos(w2) - w1 / w2², by way of w4 and of w6.

# %%
value = math.cos(2) * math.sin(3) + 2 / 3
dw1 = -math.sin(2) * math.sin(3) + 1 / 3
dw2 = math.cos(2) * math.cos(3) - 2 / 3**2
print(f"by hand: w7 = {value:.5f}, dw7/dw1 = {dw1:.5f}, dw7/dw2 = {dw2:.5f}")

# %%
expected = {"w3": math.cos(2), "w4": math.sin(3), "w5": math.cos(2) * math.sin(3), "w6": 2 / 3}
for w in [w3, w4, w5, w6]:
    assert abs(w.item() - expected[w.name]) < 1e-12, f"{w.name} is wrong"
assert abs(w7.item() - value) < 1e-12, "w7 is wrong"
assert abs(w1.grad - dw1) < 1e-12, "dw7/dw1 is wrong"
assert abs(w2.grad - dw2) < 1e-12, "dw7/dw2 is wrong"
assert abs(w3.grad - math.sin(3)) < 1e-12, "dw7/dw3 is w4"
assert abs(w4.grad - math.cos(2)) < 1e-12, "dw7/dw4 is w3"
assert w5.grad == w6.grad == w7.grad == 1, "an addition passes the gradient on"
