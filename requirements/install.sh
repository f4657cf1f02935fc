#!/bin/sh
# Make the virtual environment and install the pinned requirements; every failure is one plain sentence.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$1" >&2
    exit 1
}

is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

found=""
for candidate in "${VENV}/bin/python" "${PYTHON}" python3.14 python3.13 python3.12 python3.11; do
    if is_supported "${candidate}"; then
        found="${candidate}"
        break
    fi
done
[ -n "${found}" ] || fail "The console needs Python 3.11, 3.12, 3.13 or 3.14; install one, or name it: make setup PYTHON=/path/to/python3.13"

if [ "${found}" != "${VENV}/bin/python" ] || ! "${VENV}/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "Making ${VENV} with $("${found}" --version) …"
    rm -rf "${VENV}"
    "${found}" -m venv "${VENV}" >/dev/null 2>&1 ||
        fail "Python's venv module is missing; on Debian: apt-get install python3-venv"
fi

echo "Installing the pinned requirements (about a minute the first time) …"
"${VENV}/bin/python" -m pip install -qq --disable-pip-version-check --requirement requirements/dev.txt ||
    fail "A package could not be installed (see above); check the network and that wheels exist for this machine."
