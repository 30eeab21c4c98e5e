#!/bin/sh
# Finds the block volume, makes a file system on it only if it is blank, mounts it by its label and gives it to the user.
# Harmless to run again, at every start of the server: what is on the volume already is never written over.
#
#   block_volume.sh VOLUME LABEL MOUNT USER    VOLUME is the volume's id in the cloud, or a device's path
set -eu

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
FSTAB=${FSTAB:-/etc/fstab}

say() {
  echo "block volume: $*" >&2
}

# The hypervisor gives the volume's id as the disk's serial number, cut to 20 characters by virtio-blk.
find_device() {
  case $1 in /*) [ -e "$1" ] && echo "$1"; return ;; esac
  short=$(printf %.20s "$1")
  for link in /dev/disk/by-id/*"$short"*; do
    case $link in *-part[0-9]*) continue ;; esac
    if [ -b "$link" ]; then
      readlink -f "$link"
      return
    fi
  done
  return 1
}

# Two tools must agree: blkid ends with 2 where it recognises nothing, wipefs prints nothing. Anything else is not blank.
is_blank() {
  found=0
  blkid -p "$1" >/dev/null 2>&1 || found=$?
  [ "$found" -eq 2 ] || return 1
  traces=$(wipefs --no-act "$1") || return 1
  [ -z "$traces" ] || return 1
  # A volume may hold data that no tool knows; a new one reads as zeros at its beginning.
  [ "$(head -c 1048576 "$1" | tr -d '\000' | wc -c)" -eq 0 ]
}

make_file_system() {
  device=$1 label=$2
  if [ "$(blkid -p -o value -s LABEL "$device" 2>/dev/null || true)" = "$label" ]; then
    say "$device has the file system '$label' already"
  elif is_blank "$device"; then
    say "$device is blank; making an ext4 file system '$label'"
    mkfs.ext4 -q -L "$label" "$device"
  else
    say "$device is neither blank nor labelled '$label': nothing was changed." \
      "If it is an ext4 file system that you want to use, label it: e2label $device $label"
    exit 1
  fi
}

mount_it() {
  label=$1 mount=$2 user=$3
  mkdir -p "$mount"
  # nofail: a server without its volume still starts, so that somebody can log in and look.
  grep -q "^LABEL=$label " "$FSTAB" || echo "LABEL=$label $mount ext4 defaults,nofail,x-systemd.device-timeout=10s 0 2" >>"$FSTAB"
  mountpoint -q "$mount" || mount --fstab "$FSTAB" "$mount"
  # Another image may number its users differently; what the last server left belongs to this one's user.
  [ "$(stat -c %u "$mount")" = "$(id -u "$user")" ] || chown -R "$user:" "$mount"
}

until device=$(find_device "$1"); do
  say "waiting for $1 to be attached"
  sleep "${WAIT_S:-5}"
done
make_file_system "$device" "$2"
if [ -n "${3:-}" ]; then
  mount_it "$2" "$3" "$4"
fi
