import pytest
import torch
from torch.nn import functional as F

from mnist_lesson import QuickNet, Trainer, load_mnist, train_quickly
from mnist_lesson.events import EndEpoch


@pytest.fixture(scope="module")
def mnist():
    return load_mnist(source="sample")


def test_the_network_is_its_formula():
    """Batch normalization is the affine map that its running numbers make of it."""
    torch.manual_seed(0)
    model = QuickNet().eval()
    for layer in model:
        for buffer in layer.buffers():
            if buffer.is_floating_point():
                buffer.data = 0.5 + torch.rand_like(buffer)
    x = torch.randn(3, 1, 28, 28)
    first, second = model[3], model[7]

    def normalized(x, norm):
        mean, var = norm.running_mean[:, None, None], norm.running_var[:, None, None]
        scaled = (x - mean) / (var + norm.eps).sqrt()
        return norm.weight[:, None, None] * scaled + norm.bias[:, None, None]

    h = F.max_pool2d(F.conv2d(x[:, :, 2:-2, 2:-2], model[1].weight), 2)
    h = normalized(h, first).clamp(min=0)
    h = normalized(F.max_pool2d(F.conv2d(h, model[5].weight), 2), second).clamp(min=0)
    by_hand = h.flatten(1) @ model[10].weight.T + model[10].bias
    assert torch.allclose(model(x), by_hand, atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) == 24_058


def test_it_is_one_epoch_of_the_trainer(mnist):
    events = []
    trainer = train_quickly(
        mnist.train, mnist.validation, event_handler=events.append, device="cpu", seed=3
    )
    torch.manual_seed(3)
    same = Trainer(QuickNet(), learning_rate=0.2, device="cpu")
    same.fit(mnist.train, epochs=1, seed=3)
    for ours, theirs in zip(
        trainer.model.parameters(), same.model.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    [end] = [event for event in events if isinstance(event, EndEpoch)]
    assert end.validation == trainer.evaluate(mnist.validation)
    assert end.validation.accuracy > 0.88


def test_the_callers_random_numbers_go_on(mnist):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train_quickly(mnist.test, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_any_whole_number_is_a_seed(mnist):
    few = mnist.test[:300]
    train_quickly(few, seed=2**64 + 1, device="cpu")
    with pytest.raises(ValueError, match="seed must be a whole number from 0, not -1"):
        train_quickly(few, seed=-1)
