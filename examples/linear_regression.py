# %% [markdown]
# # Linear regression by gradient descent
#
# We look for the line y = w x + b that fits the points best.
# The cost is the mean of the squared errors. Each step moves w and b a little
# against their gradients, and the cost falls.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gpucnn import Tensor, no_grad
from gpucnn import functions as F

rng = np.random.default_rng(0)
x = rng.uniform(0, 4, 50)
y = 2 * x + 1 + rng.normal(0, 0.7, 50)  # points near the line y = 2 x + 1

# %%
w = Tensor(np.array(0.0), requires_grad=True)
b = Tensor(np.array(0.0), requires_grad=True)
learning_rate = 0.02
steps = 1000

costs, lines = [], []
for _ in range(steps):
    lines.append((w.item(), b.item()))
    cost = F.mean_squared_error(w * x + b, y)
    costs.append(cost.item())
    w.zero_grad()
    b.zero_grad()
    cost.backward()
    with no_grad():  # the update itself is not recorded
        w -= learning_rate * w.grad
        b -= learning_rate * b.grad

for step in [1, 2, 4, 8, 16, steps]:
    print(f"cost at step {step:4}: {costs[step - 1]:7.4f}")

# %% [markdown]
# The best line is also known in closed form, so we can check the result.

# %%
w_best, b_best = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y)[0]
print(f"gradient descent: w = {w.item():.4f}, b = {b.item():.4f}")
print(f"closed form:      w = {w_best:.4f}, b = {b_best:.4f}")

# %%
Path("pictures").mkdir(exist_ok=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.scatter(x, y, s=14, color="black", label="data")
ends = np.array([0.0, 4.0])
for step, shade in zip([1, 2, 4, 8, 16, steps], np.linspace(0.3, 1, 6), strict=True):
    w_then, b_then = lines[step - 1]
    left.plot(ends, w_then * ends + b_then, color=plt.cm.Blues(shade), label=f"step {step}")
left.set(xlabel="x", ylabel="y", title="The fit, step by step")
left.legend()
right.loglog(range(1, steps + 1), costs)
right.set(xlabel="step", ylabel="cost (mean squared error)", title="The cost falls")
plt.savefig("pictures/linear_regression.png")

# %%
assert (np.diff(costs) <= 0).all(), "the cost should fall in each step"
assert abs(w.item() - w_best) < 1e-3, "w is not that of the closed form"
assert abs(b.item() - b_best) < 1e-3, "b is not that of the closed form"
