"""What the losses of several tasks count, by each rule."""

from __future__ import annotations

import pytest
import torch

from pocketvision.tasks.joint.balance import GradientNormBalance, UncertaintyBalance, make_balance

STATED = {"detection": 1.0, "segmentation": 2.0}


def test_fixed_weights_are_those_stated() -> None:
    balance = make_balance("fixed", STATED)
    assert balance.apply_to({"a": torch.tensor(3.0)}, "segmentation") == {"a": torch.tensor(6.0)}
    assert list(balance.parameters()) == [] and balance.state_dict() == {}


def test_learned_variances_make_every_loss_count_one() -> None:
    """The minimum of exp(-s) L + s over s is at s = log L, where what is weighed is 1."""
    balance = make_balance("uncertainty", STATED)
    assert isinstance(balance, UncertaintyBalance) and balance.weights() == STATED, "it begins as stated"
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.2)
    losses = {"detection": torch.tensor(5.0), "segmentation": torch.tensor(0.25)}
    for step in range(200):
        task = tuple(losses)[step % 2]
        optimizer.zero_grad()
        torch.stack(list(balance.apply_to({"loss": losses[task]}, task).values())).sum().backward()
        optimizer.step()
    for task, loss in losses.items():
        assert balance.weights()[task] * loss == pytest.approx(1.0, rel=1e-3)
    torch.testing.assert_close(
        balance.log_variances.detach(), torch.tensor([5.0, 0.5]).log(), rtol=1e-3, atol=1e-3
    )


def test_gradients_of_all_tasks_become_as_long() -> None:
    balance = make_balance("gradient_norm", {"detection": 1.0, "segmentation": 1.0})
    assert isinstance(balance, GradientNormBalance)
    balance.learn({"detection": torch.tensor(8.0)})
    assert set(balance.weights().values()) == {1.0}, "until every task has been seen"
    own = {"detection": 8.0, "segmentation": 0.5}
    for step in range(400):
        task = tuple(own)[step % 2]
        balance.learn({task: torch.tensor(own[task] * balance.weights()[task])})  # as long as it counts
    weights = balance.weights()
    assert {task: own[task] * weights[task] for task in own} == pytest.approx(
        dict.fromkeys(own, 2.0), rel=1e-4
    )
    assert weights["detection"] * weights["segmentation"] == pytest.approx(1.0)


@pytest.mark.parametrize("norm", [0.0, float("nan"), float("inf")])
def test_a_step_without_a_gradient_says_nothing(norm: float) -> None:
    balance = GradientNormBalance(STATED)
    balance.learn({"detection": torch.tensor(norm)})
    assert not balance.norms.any()


def test_stated_weights_multiply_what_is_measured() -> None:
    balance = GradientNormBalance(STATED)
    for task, norm in {"detection": 3.0, "segmentation": 6.0}.items():
        balance.learn({task: torch.tensor(norm)})  # both 3 without the stated weights
    assert balance.weights() == pytest.approx(STATED)


def test_norms_of_one_batch_were_weighed_alike() -> None:
    own, balance = {"detection": 8.0, "segmentation": 0.5}, GradientNormBalance(STATED)
    for _ in range(3):
        weights = balance.weights()
        balance.learn({task: torch.tensor(norm * weights[task]) for task, norm in own.items()})
        assert balance.norms.tolist() == pytest.approx(list(own.values()))


def test_a_norm_may_stand_for_several_steps() -> None:
    often, seldom = GradientNormBalance(STATED), GradientNormBalance(STATED)
    for balance, times, num_steps in ((often, 8, 1), (seldom, 1, 8)):
        balance.learn({"detection": torch.tensor(1.0)})
        for _ in range(times):
            balance.learn({"detection": torch.tensor(3.0)}, num_steps)
    torch.testing.assert_close(often.norms, seldom.norms)


def test_another_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="choose from fixed, moments, uncertainty, gradient_norm"):
        make_balance("dwa", STATED)  # type: ignore[arg-type]
