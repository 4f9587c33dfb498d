"""What is minimised: the sampled softmax against the whole one, the contrastive loss by hand, and what it teaches."""

import json
import math

import pytest
import torch
from torch.nn import functional

from charrnn.answers import Answers
from charrnn.config import ModelConfig, TrainingConfig
from charrnn.dataset import prepare
from charrnn.engine import BUCKETS
from charrnn.network import Summary
from charrnn.objective import Contrast, contrastive_loss, learn_summary, sampled_cross_entropy
from charrnn.question import Asked

V, D, N = 2000, 16, 60
WAYS = ("{0}是什么", "什么叫{0}", "讲讲{0}", "请说说{0}好吗")
SUBJECTS = "山河日月星云雨雪风雷花草树木鸟兽虫鱼金石土火琴棋书画"


@pytest.fixture
def head():
    torch.manual_seed(0)
    return torch.randn(N, D), torch.randn(V, D) * 0.5, torch.randn(V), torch.randint(0, 40, (N,))


@pytest.mark.parametrize("candidates", [0, V, 10 * V])
def test_with_every_candidate_it_is_the_softmax(head, candidates):
    h, weight, bias, targets = head
    exact = functional.cross_entropy(h @ weight.T + bias, targets)
    assert sampled_cross_entropy(h, weight, bias, targets, candidates).item() == pytest.approx(exact.item(), abs=1e-5)


def test_the_denominator_of_the_sampled_softmax_is_right_on_average(head):
    """One row, so that the loss gives its denominator away: loss = log Z − logit of the target."""
    h, weight, bias, targets = head[0][:1], *head[1:3], head[3][:1]
    logits = (h @ weight.T + bias)[0].double()
    found = [sampled_cross_entropy(h, weight, bias, targets, 300).double() + logits[targets] for _ in range(4000)]
    ratios = (torch.cat(found) - logits.logsumexp(0)).exp()
    assert ratios.std() > 0.01  # it is sampled
    assert abs(ratios.mean().item() - 1) < 4 * ratios.std().item() / math.sqrt(len(found))


def test_gradients_of_the_sampled_softmax_point_the_same_way(head):
    h, weight, bias, targets = (x.clone().requires_grad_(x.is_floating_point()) for x in head)
    slopes = {}
    for candidates in (0, 1000):
        grads = [
            torch.autograd.grad(sampled_cross_entropy(h, weight, bias, targets, candidates), (h, weight))
            for _ in range(20 if candidates else 1)
        ]
        slopes[candidates] = [sum(g) / len(grads) for g in zip(*grads, strict=True)]
    for exact, sampled in zip(slopes[0], slopes[1000], strict=True):
        assert functional.cosine_similarity(exact.flatten(), sampled.flatten(), dim=0) > 0.99


def test_the_contrastive_loss_by_hand():
    """Cosines 1 and 0: −log(e^12 / (e^12 + 1)) where rows match; where they are exchanged, 12 more."""
    x, y = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    right = math.log1p(math.exp(-12))
    assert contrastive_loss(x, y).item() == pytest.approx(right, abs=1e-6)
    assert contrastive_loss(x, y.flip(0)).item() == pytest.approx(right + 12, abs=1e-5)


@pytest.fixture
def questions(tmp_path):
    sets = [{"ask": [w.format(s) for w in WAYS], "answer": [f"{s}就是{s}本身。", f"是{s}。"]} for s in SUBJECTS]
    path = tmp_path / "sets.jsonl"
    path.write_text("\n".join(json.dumps(s, ensure_ascii=False) for s in sets), encoding="utf-8")
    return prepare([str(path)], kind="char")


def test_exchanges_gather_the_ways_to_ask(questions):
    exchanges = Answers(questions.tokens("train", turns=True), questions.tokenizer, BUCKETS).exchanges()
    assert len(exchanges) > len(SUBJECTS) / 2  # some sets are held out
    (flower,) = (e for e in exchanges if Asked(BUCKETS).ask("花就是花本身。").bag() in e.answers)
    assert len(flower.answers) == 2
    assert Asked(BUCKETS).ask("什么叫花").bag() in flower.questions
    assert 2 <= len(flower.questions) <= len(WAYS)


def test_what_belongs_to_one_answer_comes_together(questions):
    """Before, every question is nearest to one of the same words; after, to one of the same subject."""
    answers = Answers(questions.tokens("train", turns=True), questions.tokenizer, BUCKETS)
    contrast, rarity = Contrast(answers.exchanges(), 0.3), torch.from_numpy(answers.rarity())
    model, right = ModelConfig(width=8, summary=32, vocabulary=300), {}
    for steps in (0, 60):
        learned = learn_summary(contrast, rarity, model, TrainingConfig(contrast=steps, steps=1))
        summary = Summary(32, 8).eval()
        summary.load_state_dict(learned, strict=False)
        groups = [e.questions for e in answers.exchanges() if len(e.questions) > 1]
        with torch.no_grad():
            vectors = summary([q for g in groups for q in g])
        labels = torch.tensor([n for n, g in enumerate(groups) for _ in g])
        near = functional.normalize(vectors, dim=-1) @ functional.normalize(vectors, dim=-1).T
        right[steps] = (labels[(near - 2 * torch.eye(len(near))).argmax(1)] == labels).float().mean().item()
    assert right[60] > max(0.9, right[0])
