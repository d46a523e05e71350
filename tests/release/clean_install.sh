#!/bin/sh
# Builds wheel and sdist, installs the wheel with all it depends on into a new environment, and
# runs the demo from it in an empty folder. Takes minutes and needs a package index.
# Usage: tests/release/clean_install.sh [PYTHON]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet build
"$work/build/bin/python" -m build --outdir "$work/dist" "$root"
"$python" -m venv "$work/clean"
"$work/clean/bin/pip" install --quiet "$work"/dist/*.whl
"$work/clean/bin/pip" check
mkdir "$work/empty"
cd "$work/empty"
"$work/clean/bin/rarewave" --version
"$work/clean/bin/rarewave" demo --headless
"$work/clean/bin/pip" install --quiet --no-deps --force-reinstall "$work"/dist/*.tar.gz
"$work/clean/bin/rarewave" info "$root/sample_data/eeg_absence_480s.edf"
ls "$work/dist"
