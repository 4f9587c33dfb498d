"""What a reader would otherwise train, on characters, for so many seconds; in our own words, with their settings.

usage: python tests/bench/peers.py char-rnn|word-language-model|nanogpt TRAIN VALID --seconds 300

char-rnn              karpathy/char-rnn's defaults: LSTM, 2 layers of 128 on one-hot inputs, batch 50, window 50,
                      RMSprop 2e-3 that falls by 3 % an epoch after the tenth, gradients cut at 5, no dropout
word-language-model   pytorch/examples word_language_model: LSTM, 2 layers of 200, batch 20, window 35, dropout 0.2,
                      plain gradient descent at 20, clipped at 0.25; its division by 4 where validation stalls is put on
                      the clock
nanogpt               the CPU configuration of nanoGPT's README: 4 layers, 4 heads, width 128, context 64, batch 12,
                      dropout 0, AdamW 1e-3 → 1e-4, 100 steps of warm-up, β₂ 0.99

The held-out text is one text: the recurrent ones read it from a zero state to its end, the transformer in windows that
overlap by half, so that what is scored has half a window before it at least.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

CURVE = 10  # points of the curve, the last one included


class Recurrent(nn.Module):
    """Embedding, two LSTM layers and a head."""

    def __init__(self, vocabulary: int, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, inputs)
        self.lstm = nn.LSTM(inputs, hidden, 2, dropout=dropout)
        self.head = nn.Linear(hidden, vocabulary)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        h, state = self.lstm(self.dropout(self.embedding(ids)), state)
        return self.head(self.dropout(h)), state

    @torch.no_grad()
    def bits(self, ids: Tensor) -> float:
        """Total bits of all but the first."""
        self.eval()
        total, state = 0.0, None
        for start in range(0, len(ids) - 1, 256):
            y = ids[start + 1 : start + 257]
            logits, state = self(ids[start : start + len(y), None], state)
            total += functional.cross_entropy(logits[:, 0], y, reduction="sum").item()
        self.train()
        return total / math.log(2)


class Attention(nn.Module):
    """One layer of a GPT-2 without biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_after = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(self.norm(x)).view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, D))
        return x + self.down(functional.gelu(self.up(self.norm_after(x))))


class Transformer(nn.Module):
    """nanoGPT: the head is the embedding again."""

    def __init__(self, vocabulary: int, width: int = 128, layers: int = 4, heads: int = 4, context: int = 64) -> None:
        super().__init__()
        self.context = context
        self.embedding, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.layers = nn.Sequential(*(Attention(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if last else 0.02)

    def forward(self, ids: Tensor, *, last: bool = False) -> Tensor:
        """Logits at every position, or at the last alone."""
        h = self.layers(self.embedding(ids) + self.positions.weight[: ids.shape[1]])
        return functional.linear(self.norm(h[:, -1:] if last else h), self.embedding.weight)

    @torch.no_grad()
    def bits(self, ids: Tensor) -> float:
        """Total bits of all but the first."""
        self.eval()
        half, total, scored = self.context // 2, 0.0, 1
        while scored < len(ids):
            start = max(0, scored - half)
            window = ids[start : start + self.context + 1]
            loss = functional.cross_entropy(self(window[None, :-1])[0], window[1:], reduction="none")
            total += loss[scored - start - 1 :].sum().item()
            scored = start + len(window)
        self.train()
        return total / math.log(2)


Done = Callable[[], float]


def train_recurrent(kind: str, ids: Tensor, vocabulary: int, done: Done) -> Iterator[tuple[Recurrent, int]]:
    """The model, and the tokens of each step."""
    plain = kind == "word-language-model"
    batch, window, hidden = (20, 35, 200) if plain else (50, 50, 128)
    model = Recurrent(vocabulary, hidden if plain else 4 * hidden, hidden, 0.2 if plain else 0.0)
    rate = 20.0 if plain else 2e-3
    if plain:
        for weight in (model.embedding.weight, model.head.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(model.head.bias)
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    else:
        optimizer = torch.optim.RMSprop(model.parameters(), lr=rate, alpha=0.95)
    length = len(ids) // batch
    streams = ids[: length * batch].view(batch, length).t().contiguous()
    epoch = 0
    while True:
        state = None
        for start in range(0, length - window, window):
            share = done()
            if share >= 1:
                return
            late = max(0, 1 + int((share - 0.6) / 0.1)) if plain else max(0, epoch - 10)
            optimizer.param_groups[0]["lr"] = rate * (0.25 if plain else 0.97) ** late
            logits, state = model(streams[start : start + window], state)
            state = tuple(part.detach() for part in state)
            loss = functional.cross_entropy(logits.flatten(0, 1), streams[start + 1 : start + window + 1].flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if plain:
                nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            else:
                nn.utils.clip_grad_value_(model.parameters(), 5.0)
            optimizer.step()
            yield model, batch * window
        epoch += 1


def train_transformer(ids: Tensor, vocabulary: int, done: Done) -> Iterator[tuple[Transformer, int]]:
    """The model, and the tokens of each step."""
    batch, highest, lowest = 12, 1e-3, 1e-4
    model = Transformer(vocabulary)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [{"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}]
    groups = [{"params": decayed, "weight_decay": 0.1}, *others]
    optimizer = torch.optim.AdamW(groups, lr=highest, betas=(0.9, 0.99))
    step = 0
    while (share := done()) < 1:
        cosine = lowest + 0.5 * (1 + math.cos(math.pi * share)) * (highest - lowest)
        for group in optimizer.param_groups:
            group["lr"] = min(1.0, (step + 1) / 100) * cosine
        starts = torch.randint(len(ids) - model.context - 1, (batch, 1))
        block = ids[starts + torch.arange(model.context + 1)]
        loss = functional.cross_entropy(model(block[:, :-1]).flatten(0, 1), block[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        yield model, batch * model.context


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["char-rnn", "word-language-model", "nanogpt"])
    parser.add_argument("train", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    torch.manual_seed(0)
    started = time.monotonic()
    texts = [path.read_text(encoding="utf-8") for path in (given.train, given.valid)]
    vocabulary = {c: i for i, c in enumerate(sorted(set("".join(texts))))}
    ids, held_out = (torch.tensor([vocabulary[c] for c in text]) for text in texts)
    scoring, tokens, curve = 0.0, 0, []

    def done() -> float:
        return (time.monotonic() - started - scoring) / given.seconds

    if given.kind == "nanogpt":
        steps = train_transformer(ids, len(vocabulary), done)
    else:
        steps = train_recurrent(given.kind, ids, len(vocabulary), done)
    for model, count in steps:
        tokens += count
        if done() >= (len(curve) + 1) / CURVE:  # scoring is not on the clock
            before = time.monotonic()
            curve.append((round(done() * given.seconds, 1), model.bits(held_out) / (len(held_out) - 1)))
            scoring += time.monotonic() - before
    figures = {
        "run": given.kind,
        "bits_per_character": model.bits(held_out) / (len(held_out) - 1),
        "tokens_per_second": tokens / given.seconds,
        "parameters": sum(p.numel() for p in model.parameters()),
        "curve": curve,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
