#!/bin/sh
# Makes a client bundle: /pkg (the client's own code) and /__modal/deps (what it needs), compiled by the Python of the image that runs it.
# Runs as root in a mount namespace of its own (see src/client-bundle.ts).
#   WORK            folder of this build; pkg/ and deps/ are made in it
#   CLIENT_VERSION, BUILDER_VERSION, PYTHON_SERIES, TOOLCHAIN_PYTHON, TREE (root file system of the image)
#   FILES           folder with sitecustomize.py, _squall_start.py and evaluate-pins.py
set -eu
umask 022
abi=cp$(echo "$PYTHON_SERIES" | tr -d .)
# The image's Python and glibc, not those of the Python that runs pip.
target="--python-version $PYTHON_SERIES --implementation cp --abi $abi --abi abi3 --abi none --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64"
install="$TOOLCHAIN_PYTHON -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --root-user-action ignore --no-compile --no-deps --only-binary :all: $target"

$install --target "$WORK/pkg" "modal==$CLIENT_VERSION"
pins=$WORK/pkg/modal/builder/$BUILDER_VERSION.txt
[ -e "$pins" ] || { echo "modal $CLIENT_VERSION does not know image builder $BUILDER_VERSION" >&2; exit 1; }
# pip judges markers for the Python that runs it: judge them here for the image's, and hand pip bare pins.
"$TOOLCHAIN_PYTHON" "$FILES/evaluate-pins.py" "$PYTHON_SERIES" "$pins" > "$WORK/pins.txt"
"$TOOLCHAIN_PYTHON" "$FILES/evaluate-pins.py" "$PYTHON_SERIES" --requires "$WORK"/pkg/modal-*.dist-info/METADATA synchronicity > "$WORK/client-pins.txt"
$install --target "$WORK/pkg" --upgrade -r "$WORK/client-pins.txt"
$install --target "$WORK/deps" -r "$WORK/pins.txt"
rm -rf "$WORK/pkg/bin" "$WORK/deps/bin" "$WORK/pkg/modal_docs" "$WORK"/pkg/*.dist-info
cp "$FILES/sitecustomize.py" "$FILES/_squall_start.py" "$WORK/pkg/"

# Unchecked-hash bytecode is valid whatever the time stamps of the bind mount say: no container compiles the client again.
mount -t tmpfs tmpfs "$TREE/mnt"
mkdir -p "$TREE/mnt/pkg" "$TREE/mnt/deps"
mount --bind "$WORK/pkg" "$TREE/mnt/pkg"
mount --bind "$WORK/deps" "$TREE/mnt/deps"
mount -t tmpfs tmpfs "$TREE/dev"
mkdir "$TREE/dev/shm" # semaphores of parallel compilation
compile() { env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LANG=C.UTF-8 chroot "$TREE" python -I -m compileall -q -j 2 --invalidation-mode unchecked-hash -s "$1" -p "$2" "$1"; }
compile /mnt/pkg /pkg
compile /mnt/deps /__modal/deps
umount "$TREE/mnt/pkg" "$TREE/mnt/deps" "$TREE/mnt" "$TREE/dev"
chown -R 0:0 "$WORK/pkg" "$WORK/deps"
chmod -R u+rwX,go+rX,go-w "$WORK/pkg" "$WORK/deps" # containers read it as somebody else
