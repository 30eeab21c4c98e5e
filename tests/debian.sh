#!/usr/bin/env bash
# Installs what the tests need beyond Python packages: fuse3, for the mount tests. Never fails the build: where it cannot
# install, it says so, and those tests are skipped with a reason.
set -u

if command -v fusermount3 >/dev/null 2>&1; then
  exit 0
fi

skip() {
  echo "tests/debian.sh: fuse3 is missing and $1; the mount tests will be skipped (install it: apt-get install fuse3)" >&2
  exit 0
}

command -v apt-get >/dev/null 2>&1 || skip "there is no apt-get"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true >/dev/null 2>&1 || skip "neither root nor sudo without a password is to be had"
  as_root=(sudo -n)
fi

install() {
  timeout 120 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends fuse3 \
    >/dev/null 2>&1
}

install || { timeout 120 "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 && install; } || skip "apt-get cannot install it"
exit 0
