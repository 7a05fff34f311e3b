#!/bin/sh
# Makes the disk. The same assembler as for the quick base: it takes kernel,
# root and loader out of Buildroot's directories, which Buildroot exports.
set -eu
exec "${HOST_DIR}/bin/yoke-image" --buildroot
