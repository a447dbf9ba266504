# Sourced by bench/run and bench/report: a virtual environment with the plotting library.
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
cd "$root" || exit
venv=$(venv bench bench/requirements.txt)
export PYTHONPATH=$root/bench PYTHONPYCACHEPREFIX=$root/target/bench/pycache
