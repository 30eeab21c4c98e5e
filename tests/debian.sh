#!/usr/bin/env bash
# Installs what the tests need beyond Python packages: fuse3, for the mount tests, memcached, for Swift, chromium, for the
# dashboard, and Java, for Spark. Never fails the build: where it cannot install, it says so, and those tests are skipped with a reason.
set -u

missing=()
command -v fusermount3 >/dev/null 2>&1 || missing+=(fuse3)
command -v memcached >/dev/null 2>&1 || missing+=(memcached)
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing+=(chromium)
command -v java >/dev/null 2>&1 || [ -n "${JAVA_HOME:-}" ] || missing+=(openjdk-17-jre-headless)
[ ${#missing[@]} -eq 0 ] && exit 0

skip() {
  echo "tests/debian.sh: ${missing[*]}: missing, and $1; the tests that need it will be skipped: those that mount need" \
    "fuse3, those on Swift memcached, those of the dashboard chromium, those of Spark Java (install it: apt-get install ${missing[*]})" >&2
  exit 0
}

command -v apt-get >/dev/null 2>&1 || skip "there is no apt-get"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true >/dev/null 2>&1 || skip "neither root nor sudo without a password is to be had"
  as_root=(sudo -n)
fi

# A package's own service is not started: the tests start memcached themselves, on a port of their own.
install() {
  timeout 300 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq \
    --no-install-recommends "${missing[@]}" >/dev/null 2>&1
}

install || { timeout 120 "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 && install; } || skip "apt-get cannot install it"
exit 0
