"""Attention between many tokens and few, as of speech and its words, with fewer multiplications.

Attention multiplies every token by weights of H x H before tokens meet. Where the tokens s are few beside the tokens x, it is
shorter to carry the few through both weights, head by head:

    scores = (x Wq) (s Wk)^T = x ((s Wk) Wq^T)^T        output = A (s Wv) Wo = A ((s Wv) Wo)

for few keys s, and the same the other way round for few queries. The many are then multiplied by one column for each head and
each of the few, in place of H columns. It is the function of Vaswani et al. (2017) with its products in another order, and
differs by rounding. The bias of the keys adds the same number to all scores of a query, which softmax does not see: with few
queries it is left out, and its gradient is exactly 0.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from ser.train.nn.kernels import products
from ser.train.nn.layers import Linear, is_traced

PAYS = 0.8  # of the multiplications of the usual order: from there the other one is faster
LEAST = 1 << 25  # multiplications of the usual order: fewer take less time than the calls around them


def fits(x: Tensor) -> bool:
    """True where there is the other order: for `x (1, ..., H)` of one run, on a CPU, in float32."""
    if is_traced() or torch.is_autocast_enabled("cpu"):
        return False
    return len(x) == 1 and x.device.type == "cpu" and x.dtype == torch.float32


def pays(queries: Sequence[int], keys: Sequence[int], size: int, heads: int) -> bool:
    """True if the other order takes clearly fewer multiplications; False where an utterance has no token.

    Args:
        queries, keys: tokens of each utterance.
        size: H.
    """
    if not queries or 0 in queries or 0 in keys:
        return False
    few, usual = min(sum(queries), sum(keys)), 2 * (sum(queries) + sum(keys)) * size**2
    usual += 2 * len(keys) * max(queries) * max(keys) * size
    other = 4 * few * size**2 + 2 * sum(map(math.prod, zip(queries, keys, strict=True))) * heads * size
    return usual >= LEAST and other < PAYS * usual


def of_few_keys(x: Tensor, k: Tensor, v: Tensor, query: Linear, output: Linear, heads: int, spans: "Spans") -> Tensor:
    """Attention's output `(N, H)` of all utterances' tokens that ask, x `(N, H)`; keys and values are `(M, H)`."""
    k = k / math.sqrt(k.shape[1] // heads)
    wide = _through(k, _columns(query.weight[0], heads).transpose(1, 2))
    bias = (k * query.bias[0]).view(len(k), heads, -1).sum(-1)
    mixed: Tensor = _FewKeys.apply(x, wide, bias, _through(v, output.weight[0].view(heads, -1, v.shape[1])), spans)  # type: ignore[no-untyped-call]
    return mixed + output.bias[0]


def of_few_queries(q: Tensor, source: Tensor, key: Linear, value: Linear, heads: int, spans: "Spans") -> Tensor:
    """What each query sees, of all heads side by side: attention before its last layer, `(N, H)`.

    Args:
        q: queries of all utterances, `(N, H)`.
        source: tokens of the keys and values, `(M, H)`.
    """
    wide = _through(q / math.sqrt(q.shape[1] // heads), _columns(key.weight[0], heads).transpose(1, 2))
    seen: Tensor = _FewQueries.apply(source, wide, spans)  # type: ignore[no-untyped-call]
    mixed = torch.bmm(seen.transpose(0, 1), _columns(value.weight[0], heads))
    return mixed.transpose(0, 1).reshape(q.shape) + value.bias[0]


Spans = list[tuple[slice, slice]]  # of each utterance, its many tokens and its few among those of all


def spans(many: Sequence[int], few: Sequence[int]) -> Spans:
    """The places of utterances with so many tokens."""
    sides = [[slice(*pair) for pair in pairwise(accumulate(side, initial=0))] for side in (many, few)]
    return list(zip(*sides, strict=True))


def _through(x: Tensor, weights: Tensor) -> Tensor:
    """Few tokens `(M, H)` through the weight of each head, `(heads, H / heads, H)` -> `(M, heads, H)`."""
    heads = len(weights)
    return torch.bmm(x.view(len(x), heads, -1).transpose(0, 1), weights).transpose(0, 1).contiguous()


def _columns(weight: Tensor, heads: int) -> Tensor:
    """The columns of each head, `(H, H)` -> `(heads, H, H / heads)`."""
    return weight.view(len(weight), heads, -1).transpose(0, 1)


class _FewKeys(torch.autograd.Function):
    """Of x `(N, H)` and the keys, their bias and the values for each head, `(M, heads, H)` and `(M, heads)`: `(N, H)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keys: Tensor, bias: Tensor, values: Tensor, spans: Spans) -> Tensor:
        out, weights = torch.empty_like(x), []
        for many, few in spans:
            k, v = keys[few].flatten(0, 1), values[few].flatten(0, 1)
            scores = x.new_empty(many.stop - many.start, len(k))
            products.times_transposed(x[many], k, scores)
            found = (scores.view(len(scores), *bias[few].shape) + bias[few]).softmax(1)
            products.times(found.view(scores.shape), v, out[many])
            weights.append(found)
        ctx.spans = spans
        ctx.save_for_backward(x, keys, values, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, keys, values, *weights = ctx.saved_tensors
        gradient = gradient.contiguous()
        inward, of_keys, of_values = torch.empty_like(x), torch.empty_like(keys), torch.empty_like(values)
        of_bias = keys.new_empty(keys.shape[:2])
        for (many, few), found in zip(ctx.spans, weights, strict=True):
            k, v, flat = keys[few].flatten(0, 1), values[few].flatten(0, 1), found.flatten(1)
            of_scores = torch.empty_like(found)
            products.times_transposed(gradient[many], v, of_scores.flatten(1))
            products.transposed_times(flat, gradient[many], of_values[few].flatten(0, 1))
            of_scores = torch._softmax_backward_data(of_scores, found, 1, found.dtype)
            torch.sum(of_scores, 0, out=of_bias[few])
            products.times(of_scores.flatten(1), k, inward[many])
            products.transposed_times(of_scores.flatten(1), x[many], of_keys[few].flatten(0, 1))
        return inward, of_keys, of_bias, of_values, None


class _FewQueries(torch.autograd.Function):
    """Of tokens x `(N, H)` and the queries for each head, `(M, heads, H)`: means of x by their scores, the same."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, queries: Tensor, spans: Spans) -> Tensor:
        out, weights = torch.empty_like(queries), []
        for many, few in spans:
            q = queries[few].flatten(0, 1)
            scores = x.new_empty(many.stop - many.start, len(q))
            products.times_transposed(x[many], q, scores)
            weights.append(scores.softmax(0))
            products.transposed_times(weights[-1], x[many], out[few].flatten(0, 1))
        ctx.spans = spans
        ctx.save_for_backward(x, queries, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, queries, *weights = ctx.saved_tensors
        gradient = gradient.contiguous()
        inward, of_queries = torch.empty_like(x), torch.empty_like(queries)
        for (many, few), found in zip(ctx.spans, weights, strict=True):
            q, g, of_scores = queries[few].flatten(0, 1), gradient[few].flatten(0, 1), torch.empty_like(found)
            products.times_transposed(x[many], g, of_scores)
            of_scores = torch._softmax_backward_data(of_scores, found, 0, found.dtype)
            products.times(torch.cat([found, of_scores], 1), torch.cat([g, q]), inward[many])
            products.transposed_times(of_scores, x[many], of_queries[few].flatten(0, 1))
        return inward, of_queries, None
