# Sourced by bench/run and bench/report: a virtual environment with the plotting library, made below target/ if missing.
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
cd "$root"
venv=$root/target/bench/venv
if ! cmp -s bench/requirements.txt "$venv/.installed"; then
  rm -rf "$venv"
  mkdir -p "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: -r bench/requirements.txt
  cp bench/requirements.txt "$venv/.installed"
fi
export PYTHONPATH=$root/bench PYTHONPYCACHEPREFIX=$root/target/bench/pycache
