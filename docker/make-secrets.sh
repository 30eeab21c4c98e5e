#!/usr/bin/env bash
# Makes the secrets of docker-compose-block.yaml, once: random, in files that only their owner can read.
#
#   bash docker/make-secrets.sh [FOLDER]
#
# What is there stays as it is, because the data is locked with it. The folder appears when it is complete.
set -euo pipefail

folder=${1:-$(dirname "$0")/secrets}
if [ -e "$folder" ]; then
  echo "$folder: there already, nothing is changed"
  exit 0
fi

umask 077
partial=$(mktemp --directory "$folder.partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT

random() { # so many bytes, as hexadecimal digits
  od --address-radix=n --format=x1 --read-bytes="$1" /dev/urandom | tr --delete ' \n'
}

postgres_password=$(random 24)
access_key=$(random 10)
secret_key=$(random 24)

# `printf` is part of the shell: no secret becomes an argument of a program.
printf '%s' "$postgres_password" >"$partial/postgres_password"
printf 'postgres:5432:*:matinee:%s\n' "$postgres_password" >"$partial/pgpass"
printf '{"identities": [{"name": "matinee", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}\n' \
  "$access_key" "$secret_key" >"$partial/s3_identities"
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
  "$access_key" "$secret_key" >"$partial/s3_credentials"
printf '[block]\ntype = s3\nprovider = Other\nendpoint = http://s3:8333\naccess_key_id = %s\nsecret_access_key = %s\n' \
  "$access_key" "$secret_key" >"$partial/rclone_config"
printf '%s' "$(random 24)" >"$partial/jupyter_token" # without an end of line, which would become part of the token

mv --no-target-directory "$partial" "$folder"
echo "$folder: six secrets made"
