#!/usr/bin/env bash
# Starts three servers as one and a redis-server on this machine, publishes a test picture at the first, and prints links to all three.
set -euo pipefail
for program in redis-server ffmpeg curl; do
  command -v "$program" >/dev/null || { echo "the demo of a cluster needs $program (apt-get install redis-server ffmpeg curl)"; exit 1; }
done
binary=${LIVEGO_BIN:-bin/livego}
dir=$(mktemp -d)
pids=()
finish() {
  trap - EXIT INT TERM
  kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT INT TERM

redis=${REDIS_PORT:-7379}
redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$dir" >"$dir/redis.log" 2>&1 &
pids+=($!)
secret=$(head -c 24 /dev/urandom | base64)

# Node N has its ports at 7N00 and up.
start() {
  local n=$1
  RTMP_ADDR=127.0.0.1:7${n}35 HTTPFLV_ADDR=127.0.0.1:7${n}01 HLS_ADDR=127.0.0.1:7${n}02 API_ADDR=127.0.0.1:7${n}90 \
  CLUSTER_ADDR=127.0.0.1:7${n}10 CLUSTER_SECRET=$secret NODE_ID=node$n REDIS_ADDR=127.0.0.1:$redis DATA_DIR=$dir/node$n \
    "$binary" >"$dir/node$n.log" 2>&1 &
  pids+=($!)
}
for n in 1 2 3; do start $n; done
nodes=("${pids[@]:1}")
# Shows why something did not start, and ends.
broken() {
  echo "$1 does not start. Perhaps something else has its port; the end of its log:"
  tail -n 5 "$2"
  exit 1
}
for n in 1 2 3; do
  for _ in $(seq 100); do curl -fs "http://127.0.0.1:7${n}90/healthz" >/dev/null && continue 2; sleep 0.1; done
  broken "node $n" "$dir/node$n.log"
done
kill -0 "${pids[0]}" 2>/dev/null || broken redis-server "$dir/redis.log"
key=$(curl -fs 'http://127.0.0.1:7190/control/get?room=demo&format=text') || broken redis-server "$dir/redis.log"

# An encoder that comes back at the next node when its own is gone, as a load balancer would send it there.
(
  trap 'kill $! 2>/dev/null; exit' TERM
  while :; do
    for n in 1 2 3; do
      ffmpeg -v error -re -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=440:beep_factor=4 -c:v libx264 -preset ultrafast -tune zerolatency \
        -pix_fmt yuv420p -g 50 -c:a aac -f flv "rtmp://127.0.0.1:7${n}35/live/$key" 2>>"$dir/ffmpeg.log" &
      wait $! || true
    done
    sleep 0.2
  done
) &
pids+=($!)

echo
echo "Three servers are one. The encoder is at node 1; watch at any:"
for n in 1 2 3; do
  echo "  node $n   http://127.0.0.1:7${n}02/live/demo/   http://127.0.0.1:7${n}01/live/demo.flv   rtmp://127.0.0.1:7${n}35/live/demo"
done
echo
echo "Now kill the stream's home and go on watching at another:   kill -9 ${nodes[0]}"
echo "Logs are in $dir. Ctrl-C ends it."
wait "${pids[0]}"
