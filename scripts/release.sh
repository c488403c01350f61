#!/usr/bin/env bash
# release.sh builds the program for all systems into dist/: archives, packages for Debian and Ubuntu, and their checksums. The same commit and
# Go give the same bytes.
#
#   DIST=FOLDER                           puts them elsewhere; what is there goes
#   TARGETS="linux/amd64 windows/arm64"   builds some only
#   PAGES=required                        fails where the pages cannot be built
set -euo pipefail
cd "$(dirname "$0")/.."

version=${VERSION:-$(git describe --tags --always --dirty)}
version=${version#v}
targets=${TARGETS:-$(echo {linux,darwin,windows,freebsd}/{amd64,arm64})}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
dist=$(realpath -m "${DIST:-dist}")
texts=(README.md CHANGELOG.md SECURITY.md LICENSE livego.yaml docs deploy)

for tool in dpkg-deb zip; do
  command -v $tool >/dev/null || { echo "$0 needs $tool (apt-get install dpkg zip)" >&2; exit 1; }
done
scripts/build-pages.sh
rm -rf "$dist"
mkdir -p "$dist"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# pack takes a folder of $work and makes an archive of it.
pack() {
  find "$work/$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  case $1 in
    *windows*) (cd "$work" && find "$1" | LC_ALL=C sort | TZ=UTC zip -q -X - -@) >"$dist/$1.zip" ;;
    *) tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$work" "$1" | gzip -9n >"$dist/$1.tar.gz" ;;
  esac
}

# debian makes a package of a program for an architecture. What is no version, as without a tag, comes before all versions.
debian() {
  local arch=$1 program=$2 root=$work/deb-$1 number=$version
  [[ $number =~ ^[0-9]+\. ]] || number=0~$number
  install -D -m 755 "$program" "$root/usr/bin/livego"
  install -D -m 644 livego.yaml "$root/etc/livego/livego.yaml"
  install -d "$root/usr/lib/systemd/system" "$root/usr/share/doc/livego" "$root/DEBIAN"
  sed -e '/^#/{/Copy the program/d;/cp livego.service/d}' -e 's|/usr/local/bin/livego|/usr/bin/livego|' deploy/livego.service >"$root/usr/lib/systemd/system/livego.service"
  cp -R README.md CHANGELOG.md SECURITY.md docs deploy "$root/usr/share/doc/livego/"
  cp LICENSE "$root/usr/share/doc/livego/copyright"
  cat >"$root/DEBIAN/control" <<CONTROL
Package: livego
Version: ${number//-/+}
Section: video
Priority: optional
Architecture: $arch
Maintainer: the livego authors <livego@localhost>
Description: live streaming server
 Encoders publish over RTMP, viewers watch over RTMP, HTTP-FLV, WebSocket-FLV
 and Low-Latency HLS. Nothing is re-encoded.
CONTROL
  echo /etc/livego/livego.yaml >"$root/DEBIAN/conffiles"
  cp scripts/debian/* "$root/DEBIAN/"
  chmod 755 "$root/DEBIAN/"{postinst,prerm,postrm}
  chmod -R go=rX "$root"
  find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zgzip --build "$root" "$dist/livego_${version}_$arch.deb" >/dev/null
}

for target in $targets; do
  os=${target%/*} arch=${target#*/}
  name=livego_${version}_${os}_$arch
  echo "== $name"
  program=$work/$name/livego
  [ "$os" != windows ] || program+=.exe
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$program" ./cmd/livego
  cp -R "${texts[@]}" "$work/$name/"
  pack "$name"
  [ "$os" != linux ] || debian "$arch" "$program"
done
cd "$dist"
sums=$(sha256sum ./*) # before there is the file that they go into
sed 's|\./||' <<<"$sums" >SHA256SUMS
echo "in $dist/: $(ls | wc -l) files"
