#!/usr/bin/env bash
# Makes this copy of the repository a SyftBox app: prepares a private environment once, makes one call of everything, and exits.
#
# SCQ_EVERY=60       stay, and begin a call every so many seconds. Set by itself for SyftBox clients that start an app only once.
# SCQ_APP_VENV=DIR   where the environment lies, else below ~/.local/share/scq (XDG_DATA_HOME). Never here: it has a hundred
#                    megabytes, and this folder may be copied, synchronised or read-only.
# SCQ_PYTHON=FILE    which Python it is made from, else the first one of version 3.11 or newer on PATH.
# SCQ_HOME, SCQ_ROOT, SCQ_EMAIL and the SYFTBOX_ variables mean what they mean to scq.
#
# Exit code: the one of `scq cycle`, but 0 for 75 (another call is at work, or try later), which a client would show as a broken
# app. 78: no environment could be made. While staying: 143 after SIGTERM, 130 after SIGINT.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # some clients call `sh run.sh`
set -eu

fail() { # exit code, lines
  local code=$1
  shift
  printf 'scq run.sh: %s\n' "$@" >&2
  exit "$code"
}

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
umask 077

suitable() { # Python: new enough, and not a shim that ends in an error
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${SCQ_PYTHON:+"$SCQ_PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
    if suitable "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  local python
  if ! python=$(find_python); then
    fail 78 'no Python 3.11 or newer was found.' 'Install one (Debian: apt install python3 python3-venv), or name it with SCQ_PYTHON.'
  fi
  : >"$venv.begun"
  rm -rf "$venv"
  if command -v uv >/dev/null 2>&1; then
    call uv venv --quiet --python "$python" "$venv"
  else
    call "$python" -m venv "$venv"
  fi
  [ "$code" -eq 0 ] || fail 78 "$python cannot make an environment in $venv." 'Debian: apt install python3-venv. Or install uv.'
}

# The copy itself is installed, so that new files in it are used at once; only other dependencies mean installing again.
install_here() {
  if command -v uv >/dev/null 2>&1; then
    call uv pip install --quiet --python "$venv/bin/python" --editable "$here"
  else
    call "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$here"
  fi
  [ "$code" -eq 0 ] || fail 78 'the packages of scq could not be installed.' 'What is missing stands above; the next call tries again.'
}

# A Python of another version behind the same name does not see what was installed for the one before.
interpreter() { readlink -f "$venv/bin/python" 2>/dev/null || true; }

wanted_stamp() { printf '%s %s\n%s\n' "$here" "$(cksum <"$here/pyproject.toml")" "$(interpreter)"; }

is_ready() {
  [ -x "$venv/bin/scq" ] && [ -x "$venv/bin/python" ] && [ "$(cat "$venv/scq-ready" 2>/dev/null)" = "$(wanted_stamp)" ]
}

# A folder is made by one process only. Its owner's number stands in it, so that one left over by a killed call is known.
lock_is_left_over() {
  local owner
  owner=$(cat "$lock/pid" 2>/dev/null) || owner=''
  if [ -z "$owner" ]; then
    [ -n "$(find "$lock" -prune -mmin +1 2>/dev/null)" ]
  elif kill -0 "$owner" 2>/dev/null; then
    # After a restart of the machine the number may be somebody else's.
    [ -r "/proc/$owner/cmdline" ] && ! grep -qF -- "${0##*/}" "/proc/$owner/cmdline"
  fi
}

take_lock() { # fails when another call made the environment meanwhile
  local waited=0 me=${BASHPID:-$$}
  until mkdir "$lock" 2>/dev/null; do
    # Moved first, and only one of several can move it: so nobody removes a lock that was taken anew.
    if lock_is_left_over && mv "$lock" "$lock.$me" 2>/dev/null; then
      rm -rf "$lock.$me"
      continue
    fi
    [ -d "$lock" ] || [ -w "$(dirname "$lock")" ] || fail 78 "$lock: cannot be made." 'Name another folder with SCQ_APP_VENV.'
    [ "$waited" -lt 600 ] || fail 75 "another call has been preparing $venv for ten minutes." "If none is, remove $lock."
    call sleep 1
    waited=$((waited + 1))
    if is_ready; then return 1; fi
  done
  trap 'rm -rf "$lock"' EXIT
  echo "$me" >"$lock/pid"
}

prepare() {
  mkdir -p "$(dirname "$venv")" || fail 78 "$venv: its folder cannot be made." 'Name another one with SCQ_APP_VENV.'
  take_lock || return 0
  if ! is_ready; then
    # Only what an earlier call left half made is thrown away; what it finished is brought up to date.
    if [ ! -e "$venv/scq-ready" ] || [ ! -x "$venv/bin/python" ] || [ "$(tail -n 1 "$venv/scq-ready")" != "$(interpreter)" ]; then
      [ ! -e "$venv" ] || [ -e "$venv.begun" ] || [ -e "$venv/scq-ready" ] ||
        fail 78 "$venv was not made by this script." 'Name another folder with SCQ_APP_VENV.'
      make_venv
    fi
    install_here
    wanted_stamp >"$venv/scq-ready.new"
    mv "$venv/scq-ready.new" "$venv/scq-ready"
    rm -f "$venv.begun"
  fi
  rm -rf "$lock"
  trap - EXIT
}

if [ -z "${SCQ_APP_VENV:-${XDG_DATA_HOME:-${HOME:-}}}" ]; then
  fail 78 'HOME is not set.' 'Name a folder for the environment with SCQ_APP_VENV.'
fi
venv=${SCQ_APP_VENV:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/scq/app-$(printf '%s' "$here" | cksum | cut -d ' ' -f 1)}
lock=$venv.lock

stay=60

calls() {
  is_ready || prepare
  call "$venv/bin/scq" automate # does nothing unless approve.command is set
  call "$venv/bin/scq" cycle
}

# --- from here on as in the apps that `scq schedule install` writes ---
call() { # in a way that a signal is heard at once
  code=0
  "$@" &
  wait "$!" || code=$?
}

end() { # exit code, tenths of a second until what still runs is killed
  local left=$2 pids
  trap '' TERM INT HUP
  pids=$(jobs -pr)
  # shellcheck disable=SC2086 # several numbers
  [ -z "$pids" ] || kill -TERM $pids 2>/dev/null || true
  while [ "$left" -gt 0 ] && [ -n "$(jobs -pr)" ]; do
    sleep 0.1
    left=$((left - 1))
  done
  pids=$(jobs -pr)
  # shellcheck disable=SC2086
  [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
  exit "$1"
}

one_round() {
  trap 'end 143 35' TERM HUP
  trap 'end 130 35' INT
  code=0
  calls
}

# Clients that give an app a name start it once; others call it again and again.
every=${SCQ_EVERY:-${SYFTBOX_APP_ID:+$stay}}
case $every in
  '')
    one_round
    [ "$code" -ne 75 ] || code=0
    exit "$code"
    ;;
  0* | *[!0-9]*)
    echo 'run.sh: SCQ_EVERY has to be a number of seconds, such as 60' >&2
    exit 2
    ;;
esac
# The next round begins even while a long job runs in an earlier one: what one call is doing, the next leaves to it. More than
# four at a time would only wait for the same thing.
trap 'end 143 45' TERM HUP
trap 'end 130 45' INT
while :; do
  # A client that is gone does not end what it started once; the next one starts it anew.
  [ -z "${SYFTBOX_APP_ID:-}" ] || kill -0 "$PPID" 2>/dev/null || [ -d "/proc/$PPID" ] || end 0 45
  if [ "$(jobs -pr | wc -l)" -lt 4 ]; then
    one_round &
  fi
  call sleep "$every"
done
