#!/usr/bin/env bash
# Clone this repository into a new folder, run the README's first command there, and time it:
#   bash benchmarks/fresh_clone.sh [CONFIG ...]      (default: quickstart)
# Installing and byte-compiling are timed apart from training and evaluating.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder/clone/.venv"' EXIT
git clone --quiet "$repository" "$folder/clone"
cd "$folder/clone"
python3 -m venv "$folder/bare"
. "$folder/bare/bin/activate"
started=$SECONDS
pip install --quiet uv
uv sync --quiet
echo "install: $((SECONDS - started)) s"
for config in "${@:-quickstart}"; do
    started=$SECONDS
    uv run pocketvision train "$config" --run-dir "out/$config"
    echo "$config: $((SECONDS - started)) s of wall time, commit $(git rev-parse --short HEAD)"
done
echo "pictures: $folder/clone/out/*/predictions.png"
