#!/bin/sh
# Installs the Debian packages that the tests start (requirements/debian.txt) where that is ours to
# do: on Debian, as root. Elsewhere it only says what is missing; the tests concerned are skipped,
# each naming its part.
set -eu
cd "$(dirname "$0")"

wanted=$(cat "${1:-debian.txt}")  # What the tests start, or another list.
# Debian's own python3 comes without what `python3 -m venv` needs.
"${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null || wanted="$wanted python3-venv"

if ! command -v dpkg-query >/dev/null; then
    echo "setup: not Debian; some tests want: $(echo $wanted)"
    exit 0
fi

missing=
for package in $wanted; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "setup: not root, so these Debian packages stay missing:$missing"
    exit 0
fi
echo "setup: installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq -y --no-install-recommends $missing >/dev/null; }
# Old package lists name files that are gone: fetch the lists only if it does not work without.
install 2>/dev/null || { apt-get update -qq && install; } || {
    echo "setup: apt-get could not install:$missing"
}
