#!/bin/sh
# Makes the base root: Debian bookworm, its Python 3.11 as `python`, compilers, pip, wheel and uv.
# Runs as root in mount and pid namespaces of its own (see src/build-base.ts), which end with it and take all its mounts along.
#   WORK     folder of this build; what is finished in it is used again
#   TARGET   where the finished tree goes by rename
#   SOURCES  file with apt source lines of this machine's mirror (used while building, not left in the tree)
#   APT      file with apt settings of this machine (likewise)
#   PYTHON_VERSION  the version that the tree must have
#   WHEELS   folder with the wheels of pip, wheel, uv, setuptools and what they need
set -eu
umask 022
packages=usr-is-merged,ca-certificates,netbase,tzdata,python3,python3-venv,python3-distutils,python-is-python3,python3-dev,gcc,gfortran,build-essential
root=$WORK/root

step() { echo "squall-step $*"; }

if [ ! -e "$WORK/packages.done" ]; then
  step 2 Debian packages
  rm -rf --one-file-system "$root"
  # The merged-usr hook: without it the usrmerge package drags in all of perl. No Recommends, no documentation, no translations.
  mmdebstrap --mode=root --verbose --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include=$packages \
    --aptopt="$APT" --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/lib/python3*/EXTERNALLY-MANAGED' \
    bookworm "$root" "$SOURCES"
  touch "$WORK/packages.done"
fi

step 3 Python tools
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero random urandom; do touch "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
mkdir "$root/dev/shm" # semaphores of parallel compilation
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/tmp/wheels"; mount --bind -o ro "$WHEELS" "$root/tmp/wheels"
pip=$(cd "$root/usr/share/python-wheels" && ls pip-*.whl | head -1)
inside() { env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
inside python3 "/usr/share/python-wheels/$pip/pip" install --no-index --find-links /tmp/wheels --no-cache-dir --root-user-action ignore --quiet --upgrade pip wheel uv setuptools
inside sh -c "echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections"

step 4 settings
cat > "$root/etc/apt/sources.list" <<LIST
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
LIST
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root"/etc/apt/sources.list.d/* "$root"/var/cache/apt/*.bin "$root/etc/hostname" "$root/etc/machine-id"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb "$root"/var/log/* "$root"/root/.cache
: > "$root/etc/resolv.conf"; : > "$root/etc/hosts"; : > "$root/etc/hostname"; : > "$root/etc/machine-id"

step 5 bytecode
# Debian compiles its own modules; what pip and the compilers brought is compiled here, so that no container ever does.
inside python -m compileall -q -j 2 /usr/lib/python3.11 /usr/lib/python3 /usr/local/lib/python3.11
version=$(inside python -c 'import platform; print(platform.python_version())')
[ "$version" = "$PYTHON_VERSION" ] || { echo "the archive has Python $version, but the images are declared with $PYTHON_VERSION" >&2; exit 1; }
umount -l "$root/tmp" "$root/dev" "$root/proc"
rm -rf "$root"/dev/*
mkdir -p "$(dirname "$TARGET")"
sync -f "$root"
mv -T "$root" "$TARGET"
step 5 done
