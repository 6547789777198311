# %% [markdown]
# # Computational graphs
#
# A computation on tensors is a graph: its nodes are numbers and operations.
# In TensorFlow 1 a graph was built first, and a session ran it with values for
# placeholders.
# Here each line runs at once, and the graph is recorded on the way.

# %%
import numpy as np

from gpucnn import Tensor, no_grad
from gpucnn.errors import DtypeError, ShapeError

# %% [markdown]
# Constants of rank 0, 1 and 2. The rank is the number of axes.

# %%
scalar = Tensor(3.0)
vector = Tensor([1.0, 2.0, 3.0])
matrix = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
for constant in [scalar, vector, matrix]:
    print("rank", constant.ndim, "shape", constant.shape)

# %% [markdown]
# Arithmetic, and the sum of a matrix: of all elements, or along an axis.

# %%
a = Tensor(5.0, requires_grad=True, name="a")
b = Tensor(2.0, requires_grad=True, name="b")
results = {"a + b": a + b, "a - b": a - b, "a * b": a * b, "a / b": a / b}
for text, result in results.items():
    print(text, "=", result.item())
sums = [matrix.sum().numpy(), matrix.sum(axis=0).numpy(), matrix.sum(axis=1).numpy()]
print("sum", sums[0], "along axis 0", sums[1], "along axis 1", sums[2])

# %% [markdown]
# A graph of three operations. The gradient of e by a says how fast e grows if a grows.
# `requires_grad` asks for it, and `backward` computes it.

# %%
c = a + b
d = b + 5
e = c * d
c.name, d.name, e.name = "c", "d", "e"
graph = e.graph()
e.backward()
print(graph)  # a notebook draws it, too
graph

# %% [markdown]
# A placeholder has become an argument of a function. The function may check it.
# The operations of the library check theirs, too.


# %%
def double(x):
    """Twice a vector of 3 floats."""
    if x.dtype != "float32":
        raise DtypeError(f"x is {x.dtype}", fix="give float32")
    if x.shape != (3,):
        raise ShapeError(f"x has the shape {x.shape}", fix="give 3 numbers")
    return 2 * x


def error_of(function, *arguments):
    try:
        function(*arguments)
    except (DtypeError, ShapeError) as error:
        print(f"{type(error).__name__}: {error}")
        return type(error)


print("double", double(vector).numpy())
errors = [
    error_of(double, Tensor(np.array([1, 2, 3]))),  # integers
    error_of(double, matrix),
    error_of(lambda x: matrix + x, Tensor([1.0, 2.0])),
]

# %% [markdown]
# A variable is a tensor that changes in place.
# `no_grad` keeps the change out of the graph.

# %%
counter = Tensor(0.0, requires_grad=True)
with no_grad():
    for _ in range(3):
        counter += 1
print("counter", counter.item())

# %% [markdown]
# The gradient of f(x, y) = x y is [y, x].

# %%
x = Tensor(3.0, requires_grad=True)
y = Tensor(4.0, requires_grad=True)
(x * y).backward()
print("gradient at x = 3, y = 4:", [x.grad.item(), y.grad.item()])

# %%
assert [t.ndim for t in (scalar, vector, matrix)] == [0, 1, 2], "a rank is wrong"
assert list(results.values()) == [7, 3, 10, 2.5], "a + b, a - b, a * b or a / b is wrong"
assert [s.tolist() for s in sums] == [21, [5, 7, 9], [6, 15]], "a sum is wrong"
assert [c.item(), d.item(), e.item()] == [7, 7, 49], "c, d or e is wrong"
assert [a.grad, b.grad] == [7, 14], "de/da is d, and de/db is c + d"
assert errors == [DtypeError, ShapeError, ShapeError], "an input should be refused"
assert counter.item() == 3, "the variable should count"
assert [x.grad, y.grad] == [4, 3], "the gradient of x y is [y, x]"
