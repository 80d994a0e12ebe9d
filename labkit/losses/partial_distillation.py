"""Parts of what a teacher says, as targets: its class relations, its confidence, its top guesses.

Tang, Shivanna, Zhao, Lin, Singh, Chi, Jain (2020), "Understanding and improving knowledge distillation", split a
teacher's knowledge into three levels: the universe (label smoothing, see :func:`labkit.losses.smooth`), the domain (how
classes relate) and the instance (how hard this example is). Their mixtures are given here as we understand the text.
Targets are ``(n, K)`` and every row sums to 1; teacher probabilities are constants.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_similarity(weights: Tensor) -> Tensor:
    """``(K, K)`` cosines between the rows of a last layer ``(K, d)``: how alike a network thinks its classes are."""
    unit = torch.nn.functional.normalize(weights, dim=-1)
    return unit @ unit.mT


def similarity_target(target: Tensor, similarity: Tensor, scale, weight=1.0) -> Tensor:
    """KD-sim, domain knowledge: ``(1 - weight) e_y + weight softmax(S_y / scale)``, the same for all of a class.

    ``scale`` -> 0 gives ``e_y`` (S_yy = 1 is the largest of its row). ``target`` ``(n, K)``: one-hot or soft labels,
    whose rows of S / scale are then mixed. ``similarity`` ``(K, K)``.
    """
    return (1 - weight) * target + weight * (target @ torch.softmax(similarity / scale, -1))


def confidence_target(target: Tensor, teacher: Tensor) -> Tensor:
    """KD-pt, instance knowledge: ``t_y = q_y``, every other class ``(1 - q_y) / (K - 1)``; q ``teacher`` ``(n, K)``.

    Against cross entropy it multiplies the gradient in the logit of y by ``(p_y - q_y) / (p_y - 1)``: an example that
    the teacher finds hard counts less. For soft labels the targets of the classes are mixed.
    """
    rest = target * (1 - teacher) / (target.shape[-1] - 1)
    return target * teacher + rest.sum(-1, keepdim=True) - rest


def top_k_target(teacher: Tensor, k) -> Tensor:
    """KD-topk: the ``k`` largest of ``teacher`` ``(n, K)`` as they are, what is left spread evenly over the others.

    k = K is the whole teacher, k = 0 says nothing; k = 1 is :func:`confidence_target` where the top class is y. Of
    equal probabilities any may be kept. ``k`` may be a 0-d tensor.
    """
    K = teacher.shape[-1]
    place = teacher.argsort(-1, descending=True).argsort(-1)  # 0 for the largest
    kept = torch.where(place < k, teacher, 0.0)
    others = (place >= k).to(teacher.dtype)
    left = torch.where(place < k, 0.0, teacher).sum(-1, keepdim=True)
    return kept + others * left / others.sum(-1, keepdim=True).clamp(1, K)


def soft_target(logits: Tensor, target: Tensor, temperature=1.0) -> Tensor:
    """``T^2 KL(t || softmax(z / T))``, shape ``(n,)``: distillation from a target distribution, a constant.

    With ``t = softmax(z_teacher / T)`` it is :func:`labkit.losses.distillation`. The gradient in the logits is
    ``T (softmax(z / T) - t)``. ``0 log 0`` is 0.
    """
    target = target.detach()
    log_p = torch.log_softmax(logits / temperature, -1)
    return temperature**2 * (torch.xlogy(target, target) - target * log_p).sum(-1)


def gradient_rescaling(p_true: Tensor, teacher_p_true: Tensor) -> Tensor:
    """``(p_y - q_y) / (p_y - 1)``: the logit gradient on the true class under a teacher, over that of cross entropy.

    1 for a teacher that is certain of y; negative once the student is surer than its teacher. Tang et al. (2020).
    """
    return (p_true - teacher_p_true) / (p_true - 1)
