#!/bin/sh
# Makes the virtual environment .venv, also where Debian and Ubuntu left out ensurepip (package python3-venv) and
# there is no root to install it: then pip comes from the Debian archive, unpacked into a temporary folder.
set -eu
python="${PYTHON:-python3}"
venv="${1:-.venv}"

"$python" - <<'CHECK' || exit 2
import sys
if sys.version_info < (3, 11):
    sys.exit(f"jelmon needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; name another: make PYTHON=python3.12 ...")
CHECK

if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
    exit
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    echo "this Python has no ensurepip: install its venv package (on Debian: python3-venv), then run make again" >&2
    exit 2
fi
echo "this Python has no ensurepip: taking pip from the Debian archive (nothing is installed)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
apt() {
    apt-get -q -y -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User= "$@" >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; exit 2; }
}
apt update
(cd "$work" && apt download python3-pip-whl && dpkg -x python3-pip-whl_*.deb "$work/root")
"$python" -m venv --without-pip "$venv"
wheel=$(ls "$work"/root/usr/share/python-wheels/pip-*.whl)
"$venv/bin/python" "$wheel/pip" install -q --no-index --no-deps "$wheel"
