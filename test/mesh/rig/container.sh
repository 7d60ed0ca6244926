#!/usr/bin/env bash
# Becomes the first process of a container: builds its file tree in a mount namespace of its own, then runs the command there.
#   container.sh ROOT ro|rw MOUNT.. -- COMMAND..      MOUNT: SOURCE=TARGET=ro|rw
set -euo pipefail

root=$1 access=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"

# The system's programs and libraries are this machine's; all else of the tree is the container's own.
bind() {
  mount --rbind "$1" "$2"
  [[ $3 == rw ]] || mount -o remount,bind,ro "$2"
}
mkdir -p usr etc proc dev sys run var tmp
chmod 1777 tmp
bind /usr usr ro
for name in passwd group nsswitch.conf host.conf protocols services ld.so.cache ld.so.conf ld.so.conf.d alternatives ssl; do
  if [[ -e /etc/$name ]]; then cp -a "/etc/$name" etc/; fi
done
touch etc/hosts && bind /etc/hosts etc/hosts ro
bind /sys sys ro
bind /proc proc rw
bind /dev dev rw
for link in bin sbin lib lib32 lib64 libx32; do
  if [[ -L /$link ]]; then ln -s "$(readlink "/$link")" "$link"; fi
done
mount -t tmpfs tmpfs usr/local
# As much as container engines give.
mount -t tmpfs -o mode=1777,size=64m tmpfs dev/shm

while [[ $1 != -- ]]; do
  IFS='=' read -r source target mode <<<"$1"
  if [[ -d $source ]]; then mkdir -p ".$target"; else mkdir -p ".$(dirname "$target")" && touch ".$target"; fi
  bind "$source" ".$target" "$mode"
  shift
done
shift
[[ $access == rw ]] || mount -o remount,ro "$root"
exec chroot "$root" "$@"
