#!/bin/sh
# Builds the Debian package from the sources in this folder's parent: build.sh [VERSION]. What comes of
# it is put into dist/. MAINTAINER ("Name <address>") is whom its users may write to. It needs debhelper and python3-venv, and fetches the wheels that
# requirements/run.txt names.
set -eu
cd "$(dirname "$0")/.."

released=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' bridge/__init__.py)
version=${1:-$released}
build=build/deb
sources=$build/aventa-bridge

rm -rf "$sources"
mkdir -p "$sources" dist
cp -r bridge config docs requirements pyproject.toml README.md ARCHITECTURE.md CHANGELOG.md LICENSE \
    SECURITY.md "$sources"
cp -r packaging/debian "$sources/debian"
if [ -n "${MAINTAINER:-}" ]; then
    escaped=$(printf '%s' "$MAINTAINER" | sed 's/[\\&|]/\\&/g')
    sed -i "s|^Maintainer: .*|Maintainer: $escaped|" "$sources/debian/control"
fi
for suffix in service socket; do
    cp "systemd/aventa-bridge.$suffix" "$sources/debian/aventa-bridge.$suffix"
done
cp systemd/sysusers.d/aventa-bridge.conf "$sources/debian/aventa-bridge.sysusers"
cp systemd/tmpfiles.d/aventa-bridge.conf "$sources/debian/aventa-bridge.tmpfiles"
cat >"$sources/debian/changelog" <<END
aventa-bridge ($version) stable; urgency=medium

  * What changed is in changelog.gz beside this file.

 -- $(sed -n 's/^Maintainer: //p' "$sources/debian/control")  $(date -R)
END
cd "$sources"
dpkg-buildpackage --build=binary --unsigned-changes --unsigned-source
cd - >/dev/null
mv "$build/aventa-bridge_${version}"_*.deb dist/
