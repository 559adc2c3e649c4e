#!/usr/bin/env python3
"""Makes src/test/resources/golden/smollm2-135m.jsonl: what a float32 reference says on a GGUF file.

    pip install torch transformers==5.19 gguf accelerate
    python make_references.py MODEL.gguf ../resources/golden/prompts.jsonl ../resources/golden/smollm2-135m.jsonl

Reference: transformers (weights dequantised to float32, eager attention, CPU).
One line a prompt:
  id, text           the rendered prompt (chat prompts: after the model's own template)
  ids                token ids of the rendered prompt, special tokens parsed, none added
  last               logits after the last prompt token: {top: [[id, logit] x 20], probe: [logit x 64], lse}
  tail               teacher-forced over the last min(64, n) prompt positions:
                     [[position, top-1 id, logprob of the true next token, top-2 gap], ...]
  greedy             greedy continuation: [[id, logit gap to the runner-up], ...], stops after EOS
  greedy_text        its text
The probe ids are (i * 769) mod vocabulary for i in 0..63.
"""
import argparse
import json
import os

import torch
from gguf import GGUFReader
from tokenizers import Regex, normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer


QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def tokenizer(folder, name):
    """The GGUF loader of transformers ignores `tokenizer.ggml.pre`; here it is put right."""
    tok = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    pre = GGUFReader(os.path.join(folder, name)).fields["tokenizer.ggml.pre"].contents()
    t = tok.backend_tokenizer
    if pre == "smollm":
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    elif pre == "qwen2":
        t.normalizer = normalizers.NFC()
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        raise SystemExit(f"pre-tokenizer {pre!r} is not known here")
    return tok


def render(tok, p):
    if "messages" in p:
        return tok.apply_chat_template(p["messages"], tokenize=False, add_generation_prompt=True)
    return p["prompt"]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("prompts")
    ap.add_argument("out")
    ap.add_argument("--tokens", type=int, default=48)
    a = ap.parse_args()
    folder, name = os.path.split(os.path.abspath(a.model))
    tok = tokenizer(folder, name)
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager").eval()
    eos = {tok.eos_token_id}
    with open(a.prompts) as f, open(a.out, "w") as out, torch.no_grad():
        for line in f:
            p = json.loads(line)
            text = render(tok, p)
            ids = tok(text, add_special_tokens=False)["input_ids"]
            x = torch.tensor([ids])
            o = model(x, use_cache=True)
            lg = o.logits[0].float()
            v = lg.shape[-1]
            last = lg[-1]
            top = torch.topk(last, 20)
            probe = [(i * 769) % v for i in range(64)]
            tail = []
            for pos in range(max(0, len(ids) - 65), len(ids) - 1):
                r = lg[pos]
                t2 = torch.topk(r, 2)
                tail.append([pos, int(t2.indices[0]),
                             round(float(torch.log_softmax(r, -1)[ids[pos + 1]]), 5),
                             round(float(t2.values[0] - t2.values[1]), 5)])
            greedy, past, cur = [], o.past_key_values, last
            for _ in range(a.tokens):
                t2 = torch.topk(cur, 2)
                nxt = int(t2.indices[0])
                greedy.append([nxt, round(float(t2.values[0] - t2.values[1]), 5)])
                if nxt in eos:
                    break
                o = model(torch.tensor([[nxt]]), past_key_values=past, use_cache=True)
                past, cur = o.past_key_values, o.logits[0, -1].float()
            out.write(json.dumps({
                "id": p["id"], "text": text, "ids": ids,
                "last": {"top": [[int(i), round(float(s), 5)] for s, i in zip(*top)],
                         "probe": [round(float(last[i]), 5) for i in probe],
                         "lse": round(float(torch.logsumexp(last, -1)), 5)},
                "tail": tail, "greedy": greedy,
                "greedy_text": tok.decode([g[0] for g in greedy]),
            }, ensure_ascii=False) + "\n")
            out.flush()
            print(p["id"], len(ids), len(greedy), flush=True)


if __name__ == "__main__":
    main()
