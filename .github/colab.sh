#!/usr/bin/env bash
# Run every chapter as a learner in Colab does: from its first cell, which installs the
# package, in an empty folder; what Colab brings along must stay as it is.
#
#     bash colab.sh REPOSITORY      (inside Colab's published runtime image)
set -euo pipefail
repository=$1

versions() {
  python3 -c '
from importlib.metadata import version
for name in "torch", "numpy", "scipy", "pillow", "matplotlib":
    print(name, version(name))'
}

# The first cell installs from the public address; this commit stands in for it.
address=$(sed -n 's/^Repository = "\(.*\)"/\1/p' "$repository/pyproject.toml")
git config --global safe.directory '*'
git config --global "url.file://$repository.insteadOf" "$address"

before=$(versions)
echo "$before"
failed=0
for notebook in "$repository"/notebooks/*.ipynb; do
  echo "$(basename "$notebook") …"
  # Each learner starts with one chapter and without the package.
  python3 -m pip uninstall --quiet --yes mnist_lesson
  cd "$(mktemp -d)"
  cp "$notebook" .
  jupyter nbconvert --to notebook --execute --inplace --log-level ERROR \
    --ExecutePreprocessor.timeout=1200 ./*.ipynb || failed=1
  if [ "$(versions)" != "$before" ]; then
    echo "its first cell replaced what Colab brings along:"
    versions
    failed=1
  fi
done
# The first cell looks at nobody's bounds, so that it can't replace anything.
if python3 -m pip check | grep mnist; then
  echo "the bounds in pyproject.toml exclude what Colab brings along"
  failed=1
fi
exit "$failed"
