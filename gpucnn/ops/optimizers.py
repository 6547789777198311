"""One step of an optimizer, in place, and the clipping of gradients before it.

The parameter, its gradient and its slots are arrays; or they are lists, with an array for each of
several parameters. On a GPU one kernel then updates them all.
"""

from __future__ import annotations

from gpucnn.backend import Backend, of
from gpucnn.backend.contract import Array, Scalar
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def sgd_update(
    param: Array,
    grad: Array,
    velocity: Array | None,
    *,
    learning_rate: Scalar,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    found_inf: Scalar | None = None,
) -> None:
    """One step of stochastic gradient descent, in place (Sutskever et al. 2013).

        g = grad + weight_decay * param
        velocity = momentum * velocity + g
        param = param - learning_rate * (g + momentum * velocity if nesterov else velocity)

    Args:
        param: any shape, contiguous, changed in place.
        grad: shape of param.
        velocity: shape of param, changed in place; None without momentum.
        learning_rate: a number, or a float32 array (1,) of the device of param.
        momentum, nesterov: as in the formula.
        weight_decay: factor of the L2 penalty's gradient, as in the formula.
        found_inf: None, or a uint32 array (1,) of the device of param: if it is not zero, the call
            changes nothing.
    """
    backend = _backend_of("sgd_update", velocity, param=param, grad=grad)
    backend.sgd_update(
        param, grad, velocity, learning_rate=learning_rate, momentum=momentum, nesterov=nesterov,
        weight_decay=weight_decay, found_inf=found_inf,
    )  # fmt: skip


@primitive
def rmsprop_update(
    param: Array,
    grad: Array,
    square_avg: Array,
    *,
    learning_rate: Scalar,
    rho: float = 0.9,
    eps: float = 1e-7,
    weight_decay: float = 0.0,
    found_inf: Scalar | None = None,
) -> None:
    """One step of RMSprop, in place (Tieleman and Hinton 2012).

        g = grad + weight_decay * param
        square_avg = rho * square_avg + (1 - rho) * g**2
        param = param - learning_rate * g / (sqrt(square_avg) + eps)

    Args:
        param: any shape, contiguous, changed in place.
        grad: shape of param.
        square_avg: shape of param, changed in place.
        learning_rate, weight_decay, found_inf: as in `sgd_update`.
        rho, eps: as in the formula.
    """
    backend = _backend_of("rmsprop_update", param=param, grad=grad, square_avg=square_avg)
    backend.rmsprop_update(
        param, grad, square_avg, learning_rate=learning_rate, rho=rho, eps=eps,
        weight_decay=weight_decay, found_inf=found_inf,
    )  # fmt: skip


@primitive
def adam_update(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    *,
    learning_rate: Scalar,
    step: Scalar,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    found_inf: Scalar | None = None,
) -> None:
    """One step of Adam (Kingma and Ba 2015) in place; decoupled=True is AdamW.

        g = grad + weight_decay * param      decoupled: param *= 1 - learning_rate*weight_decay
        m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g**2
        param -= learning_rate * (m / (1 - beta1**step)) / (sqrt(v / (1 - beta2**step)) + eps)

    Args:
        param: any shape, contiguous, changed in place.
        grad: shape of param.
        m, v: shape of param, changed in place.
        learning_rate, weight_decay, found_inf: as in `sgd_update`.
        step: counted from 1; a number, or a uint32 array (1,) of the device of param.
        beta1, beta2, eps: as in the formula; the betas are in [0, 1).
        decoupled: whether the weight decay is AdamW's (Loshchilov and Hutter 2019).
    """
    backend = _backend_of("adam_update", param=param, grad=grad, m=m, v=v)
    backend.adam_update(
        param, grad, m, v, learning_rate=learning_rate, step=step, beta1=beta1, beta2=beta2,
        eps=eps, weight_decay=weight_decay, decoupled=decoupled, found_inf=found_inf,
    )  # fmt: skip


@primitive
def clip_grad_norm(
    grads: Array,
    max_norm: float,
    *,
    halted: Array | None = None,
    step: Array | None = None,
    found_inf: Array | None = None,
) -> tuple[list[Array], Array]:
    """Gradients, scaled together so that their joint L2 norm is at most `max_norm`.

        norm = sqrt(sum of all grad**2)
        grad * min(1, max_norm / (norm + 1e-6))        NaN if the norm is NaN
        found_inf = 0 if halted = 0 and norm is finite, else 1;  step += 1 - found_inf

    (Pascanu, Mikolov and Bengio 2013, section 3.2, with PyTorch's 1e-6.) Nothing is read back. The
    norm is summed in float64 and in a fixed order. Where found_inf is set, the gradients are copied
    as they are: no update takes them.

    Args:
        grads: a list of arrays of any shapes.
        max_norm: at least 0.
        halted: uint32 (1,): not 0 if the loss was not finite. Without it no step is counted.
        step: uint32 (1,), changed in place: the number of steps that changed the parameters.
        found_inf: uint32 (1,), changed in place: whether the updates of this step change nothing.

    Returns:
        New arrays of the shapes and dtypes of grads, and the norm before scaling, float64 (1,).
    """
    backend = _backend_of("clip_grad_norm", grads=grads)
    return backend.clip_grad_norm(grads, max_norm, halted=halted, step=step, found_inf=found_inf)


def _backend_of(name: str, *optional: Array | None, **required: Array) -> Backend:
    """As `backend_of`; for lists of arrays, too."""
    lists = [given for given in (*required.values(), *optional) if isinstance(given, list)]
    if lists:
        return of(*(array for arrays in lists for array in arrays))
    return backend_of(name, *optional, **required)
