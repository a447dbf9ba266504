# Sourced by every script: which PostgreSQL, which tools, where things go.
# PG_CONFIG picks another PostgreSQL; the default is Debian's PostgreSQL 15.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=backup_codes
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
pgrx_version=$(sed -n 's/^pgrx = "=\(.*\)"$/\1/p' "$root/Cargo.toml")
debian_pg_config=/usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG=${PG_CONFIG:-$debian_pg_config}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/$name
tools=$cache/cargo-pgrx-$pgrx_version

# Private copies of PostgreSQL and private clusters. As root the server runs as another user, who may not be able to
# look into this tree; so they lie outside of it.
if [ "$(id -u)" = 0 ]; then
  private=/var/lib/$name-dev/$(cksum <<<"$root" | cut -d' ' -f1)
else
  private=$root/target/private
fi

export PGRX_HOME=$root/target/pgrx
export PATH=$tools/bin:$PATH
# With a backtrace in the environment pgrx adds one to an error's DETAIL, which reaches the client.
unset RUST_BACKTRACE

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
pg_major() { "$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'; }
# A virtual environment with what a requirements file lists, below target/: made where it is missing or the file has changed.
venv() {
  local venv=$root/target/venv/$1 wanted=$2
  if ! cmp -s "$wanted" "$venv/.installed"; then
    rm -rf "$venv"
    mkdir -p "$venv"
    python3 -m venv "$venv" &&
      "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: -r "$wanted" >&2 &&
      cp "$wanted" "$venv/.installed" || return
  fi
  echo "$venv"
}
# Lets cargo build for PG_CONFIG's server. What the caller chose stays where it is of the same version, since another path
# means that pgrx is built anew.
build_for_pg_config() {
  [ "$("${PGRX_PG_CONFIG_PATH:-false}" --version 2>/dev/null)" = "$("$PG_CONFIG" --version)" ] ||
    export PGRX_PG_CONFIG_PATH=$PG_CONFIG
}
# Where scripts/build puts what is to be installed.
stage() { echo "$root/target/stage/pg$(pg_major)"; }
# The copy of PG_CONFIG's PostgreSQL that scripts/setup makes.
private_pg_config() { echo "$private/pg$(pg_major)$("$PG_CONFIG" --bindir)/pg_config"; }

# A server that lies outside of the system's directories brings its own libpq, which its standbys and subscribers load: the
# system's may be older than they can use.
if [ -x "$PG_CONFIG" ]; then
  libdir=$("$PG_CONFIG" --libdir)
  case $libdir in
    /usr/lib* | /lib*) ;;
    *) [ ! -e "$libdir/libpq.so.5" ] || export LD_LIBRARY_PATH=$libdir ;;
  esac
fi
