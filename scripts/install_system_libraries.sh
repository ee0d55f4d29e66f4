#!/usr/bin/env bash
# Installs the Debian packages that Qt, OpenGL and `python3 -m venv` need, where they are missing.
# With nothing missing it does nothing. Where it cannot install (no apt-get, not root and no sudo) it says what is
# missing and goes on: the command line works without Qt's libraries.
set -euo pipefail

packages=(
    xvfb libgl1 libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1
    libxcb-randr0 libxcb-render-util0 libxcb-xinerama0 libxcb-shape0 libdbus-1-3 libfontconfig1
)
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

if ! command -v dpkg-query >/dev/null; then
    [ "$(uname -s)" = Linux ] && echo "Not a Debian system: install what corresponds to ${packages[*]}."
    exit 0
fi
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    as_root=none
elif [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=(sudo)
else
    as_root=none
fi
if [ "${as_root[0]}" = none ]; then
    echo "System libraries are missing; ask an administrator to run: apt-get install ${missing[*]}"
    exit 0
fi
echo "Installing system libraries: ${missing[*]}"
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1; then
    tail -n 20 "$log"
    echo "System libraries could not be installed; to install them yourself: apt-get install ${missing[*]}"
fi
rm -f "$log"
