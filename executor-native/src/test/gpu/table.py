"""Prints JSON lines of DeviceBench, EngineBench and torch_bench.py as a table."""

import json
import sys

rows = []
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    if "microseconds" in row:
        rows.append(row)
print(f"{'operation':52} {'us':>10} {'GB/s':>8} {'of copy':>8} {'TFLOP/s':>8}")
for row in rows:
    print(
        f"{row['name']:52} {row['microseconds']:10.1f} {row['gigabytes_per_second']:8.1f}"
        f" {row['of_copy_rate']:8.2f} {row['teraflops']:8.1f}"
    )
