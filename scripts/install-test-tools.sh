#!/usr/bin/env bash
# Installs what the end-to-end tests and the benchmarks need: Debian's packages, and from npm the players that run in Chromium, by the lock
# file of e2e/web. Does nothing when it is all there.
set -euo pipefail

packages=()
need() { command -v "$1" >/dev/null 2>&1 || packages+=("${@:2}"); }
need gcc gcc libc6-dev
need ffmpeg ffmpeg
need chromium chromium
need redis-server redis-server
need rtmpdump rtmpdump
need curl curl
need gst-launch-1.0 gstreamer1.0-tools
need nginx nginx-light
need wrk wrk
need h2load nghttp2-client
need zip zip
need promtool prometheus
need varnishd varnish
need haproxy haproxy
need node nodejs npm
need npm npm
[ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] || packages+=(libnginx-mod-rtmp)
[ -n "$(find /usr/lib -name libgstrtmp2.so -print -quit 2>/dev/null)" ] || packages+=(gstreamer1.0-plugins-bad)
[ -n "$(find /usr/lib -name libgstx264.so -print -quit 2>/dev/null)" ] || packages+=(gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-libav)

if [ ${#packages[@]} -gt 0 ]; then
  sudo=""
  if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
  echo "installing ${packages[*]}"
  # A service that Debian starts on installation would take the ports that its package is tested on.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null
    trap '$sudo rm -f /usr/sbin/policy-rc.d' EXIT
    $sudo chmod +x /usr/sbin/policy-rc.d
  fi
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

web=$(dirname "$0")/../e2e/web
if ! cmp -s "$web/package-lock.json" "$web/node_modules/.installed-lock.json"; then
  if [ "$(node --print 'process.versions.node.split(".")[0]')" -lt 20 ]; then
    echo "$0: the tests in Chromium need Node 20 or later, this is $(node --version)" >&2
    exit 1
  fi
  echo "installing the players of e2e/web"
  npm ci --prefix "$web" --ignore-scripts --no-audit --no-fund --loglevel=error
  cp "$web/package-lock.json" "$web/node_modules/.installed-lock.json"
fi
