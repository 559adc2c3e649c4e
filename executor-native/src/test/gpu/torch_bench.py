"""The same shapes as DeviceBench in PyTorch on the same card: bf16 products and SDPA attention.

One JSON line for each, in DeviceBench's form, so that the two can be laid side by side.
"""

import json

import torch
import torch.nn.functional as F

HIDDEN, QUERY, KV, DIM, FEED, VOCABULARY = 4096, 32, 8, 128, 14336, 128256
TOKENS, CONTEXT, SEQUENCES = 2048, 8192, 64


def seconds(call):
    """The least mean of five rounds, timed by events."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    best = float("inf")
    for _ in range(5):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(20):
            call()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 20e3)
    return best


def report(name, time, data, flops):
    print(
        json.dumps(
            {
                "name": "torch: " + name,
                "microseconds": time * 1e6,
                "gigabytes_per_second": data / time / 1e9,
                "of_copy_rate": data / time / COPY,
                "teraflops": flops / time / 1e12,
            }
        )
    )


def random(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


a = torch.randn(1 << 28, device="cuda")
b = torch.empty_like(a)
COPY = 2 * 4 * (1 << 28) / seconds(lambda: b.copy_(a))
print(json.dumps({"name": "torch: copy", "gigabytes_per_second": COPY / 1e9}))
del a, b

for name, n, k in (
    ("qkv", (QUERY + 2 * KV) * DIM, HIDDEN),
    ("output", HIDDEN, QUERY * DIM),
    ("gate and up", 2 * FEED, HIDDEN),
    ("down", HIDDEN, FEED),
    ("head", VOCABULARY, HIDDEN),
):
    w = random(n, k)
    for m in (1, 16, 64, 256, 2048):
        if m * n > 1 << 28:
            continue
        x = random(m, k)
        size = 2 * (n * k + m * k + m * n)
        report(f"{name} of {m} rows", seconds(lambda: x @ w.T), size, 2 * m * n * k)
    del w

for before in (0, CONTEXT):
    q = random(1, QUERY, TOKENS, DIM)
    k = random(1, KV, before + TOKENS, DIM)
    v = random(1, KV, before + TOKENS, DIM)
    mask = torch.ones(TOKENS, before + TOKENS, dtype=torch.bool, device="cuda").tril(before)
    options = {"is_causal": True} if before == 0 else {"attn_mask": mask}
    time = seconds(lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True, **options))
    pairs = TOKENS * (before + (TOKENS + 1) / 2)
    size = (before + TOKENS) * 4 * KV * DIM
    report(f"prefill behind {before}", time, size, pairs * 4 * QUERY * DIM)

for sequences in (1, SEQUENCES):
    q = random(sequences, QUERY, 1, DIM)
    k = random(sequences, KV, CONTEXT, DIM)
    v = random(sequences, KV, CONTEXT, DIM)
    time = seconds(lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True))
    size = sequences * CONTEXT * 4 * KV * DIM
    report(f"decode: {sequences} of {CONTEXT}", time, size, sequences * CONTEXT * 4 * QUERY * DIM)
