#!/usr/bin/env bash
# install-trixie-ffmpeg.sh DIR unpacks Debian trixie's FFmpeg 7.1, which speaks Enhanced RTMP, below DIR on any Debian, needs no
# root, changes nothing outside DIR, and leaves DIR/ffmpeg as the command to run. Does nothing when that is there already.
set -euo pipefail

dir=${1:?usage: $0 DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
[ -x "$dir/ffmpeg" ] && exit 0

# The packages come from the mirror that this machine's apt already uses for Debian.
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' | sed -n 's/^Debian|Debian|//p' | head -n 1)
# Before the first 'apt-get update' it does not know whose mirrors they are: then the first one will do.
mirror=${mirror:-$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)}
if [ -z "$mirror" ]; then echo "$0: apt has no mirror configured" >&2; exit 1; fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
arch=$(dpkg --print-architecture)

# An apt of its own: an empty package status makes it fetch every dependency, down to libc.
apt=$dir/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
: >"$apt/status"
echo "deb [signed-by=$keyring arch=$arch] $mirror trixie main" >"$apt/sources.list"
options=(
  -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts" -o Dir::Etc::Preferences=/dev/null
  -o Dir::Etc::PreferencesParts="$apt/parts" -o Dir::State="$apt" -o Dir::State::Lists="$apt/lists"
  -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User= -o APT::Install-Recommends=false
  -o Acquire::Languages=none -o APT::Keep-Downloaded-Packages=true
)
echo "fetching FFmpeg of Debian trixie into $dir"
apt-get "${options[@]}" -qq update
apt-get "${options[@]}" -qq --yes --download-only install ffmpeg >/dev/null

rm -rf "$dir/root"
mkdir "$dir/root"
for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$dir/root"; done
rm -rf "$apt"

# The unpacked loader finds the unpacked libraries, so that the program sees this machine's files and needs no chroot.
loader=$(find "$dir/root/usr/lib" "$dir/root/lib64" "$dir/root/lib" -name 'ld-linux-*.so.*' -print -quit 2>/dev/null)
libraries=$(find "$dir/root/usr/lib" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
cat >"$dir/ffmpeg.part" <<SCRIPT
#!/bin/sh
exec "$loader" --library-path "$libraries" "$dir/root/usr/bin/ffmpeg" "\$@"
SCRIPT
chmod +x "$dir/ffmpeg.part"
"$dir/ffmpeg.part" -version >/dev/null
mv "$dir/ffmpeg.part" "$dir/ffmpeg"
