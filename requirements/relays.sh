#!/bin/sh
# Builds the tunnel servers of others that the lab puts on its relay, into .lab/bin: bore (needs
# cargo), frp (needs go). What cannot be built is named, and is no failure: whatever needs it is
# left out, by its name. Versions and checksums stand in frp/go.sum and in bore's own lock file.
#
# sish and cloudflared are not among them: neither can be built from its module, for both replace
# modules that they depend on.
set -u
cd "$(dirname "$0")"
root=$(cd .. && pwd)/.lab
BORE=0.6.0

bore() {
    command -v cargo >/dev/null || { echo "relays: no cargo, so no bore"; return; }
    cargo install --quiet --locked --root "$root" --version "$BORE" bore-cli ||
        echo "relays: bore could not be built"
}

# The tag leaves out frps's dashboard, whose pages the module comes without.
frp() {
    command -v go >/dev/null || { echo "relays: no go, so no frp"; return; }
    (cd frp && GOBIN="$root/bin" go install -tags noweb tool) || echo "relays: frp could not be built"
}

mkdir -p "$root/bin"
[ -x "$root/bin/bore" ] || bore
[ -x "$root/bin/frps" ] || frp
exit 0
