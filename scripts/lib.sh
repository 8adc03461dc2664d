# Shared by the scripts: where things are, how to speak, what the machine lacks. Sourced, never run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Things that are costly to make and safe to share between clones: base images, the editor used by the tests.
cache=${ORLOP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orlop-dev}
venv=$here/.venv
mkdir -p "$cache"

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs its arguments as root: directly, or through sudo when that needs no password. Fails when neither can be.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo "$@"; else return 1; fi
}

# Sees to it that Debian packages are there; names the missing ones when it may not install them. Returns 1 then.
want_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return 0
  if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    say "Installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq >/dev/null 2>&1 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 && return 0
    tail -n 5 "$cache/apt.log" >&2
  fi
  printf 'missing Debian packages: %s\n  install them with: sudo apt-get install %s\n' "${missing[*]}" "${missing[*]}" >&2
  return 1
}

# Prints a Python of at least 3.11; one that other accounts can run too is preferred, for the rootless half of the tests.
find_python() {
  local candidate
  for candidate in /usr/bin/python3 /usr/local/bin/python3 python3.14 python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  die "Python 3.11 or newer is needed (Debian 12: apt-get install python3 python3-venv)"
}
