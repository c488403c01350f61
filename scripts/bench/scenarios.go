//go:build linux

package main

import (
	"context"
	"slices"
	"strconv"
)

// scenario is a load and the servers that get it.
type scenario struct {
	name  string
	title string
	// load are flags of livego bench for all rows.
	load []string
	rows []row
	// columns of the table behind the server's name.
	columns []column
	// run, if set, measures and prints what does not fit into rows (hls.go, stopped.go).
	run func(*measurement, context.Context) error
}

// row is a line of the table.
type row struct {
	name string
	kind kind
	args []string // of the server
	load []string // of livego bench
	// base: the rows from here on are compared with this one. The first row is one too.
	base bool
	// held is how many seconds of all streams the server holds in memory, 0 where it is not told.
	held float64
}

// perPicture switches livego's batching off: one write for each player and picture, as the floor
// does. HLS is off, as in the floor.
func perPicture() []string { return []string{noHLS, "--max_batch_delay", "0"} }

// forced makes livego write every 100 ms only, as the floor does with the argument 100. HLS is off,
// as in the floor.
func forced() []string {
	return []string{noHLS, "--min_batch_delay", "100ms", "--max_batch_delay", "100ms"}
}

// noHLS switches HLS off: neither the floor nor nginx-rtmp does anything for it unless told so.
const noHLS = "--hls_addr="

func play(protocol string) []string { return []string{"--protocol", protocol} }

// players returns flags for so many players, and others.
func players(n int, more ...string) []string {
	return append([]string{"--players", strconv.Itoa(n)}, more...)
}

// idle returns flags for so many publishers whom nobody watches, and others.
func idle(n int, more ...string) []string {
	return append([]string{"--streams", strconv.Itoa(n), "--players", "0"}, more...)
}

// few returns flags for many small streams with few players each.
func few() []string {
	return players(3000, "--streams", "300", "--video-rate", "452", "--audio-rate", "64", "--warmup", ringFilled)
}

// joined puts pictures and sound into one playlist.
const joined = "--hls_joined"

// packaged has streams packaged for HLS that nobody watches.
const packaged = "--hls_on_demand=false"

func nginxHLS() []string {
	return []string{"hls on;", "hls_path hls;", "hls_fragment 3s;", "hls_playlist_length 9s;"}
}

const (
	// streamRate is the built-in clip's, in bytes per second.
	streamRate = 2_600_000 / 8
	// ringHeld is what livego's ring keeps for the first viewer of HLS, in seconds: five, and half
	// a GOP; gopHeld what it keeps without HLS.
	ringHeld = 6
	gopHeld  = 2
	// segmentsHeld is what it keeps for HLS, once for both forms: segments of 4 s, of which three
	// are listed and four more were so until a while ago, and half of one that is being made.
	// wholeHeld are the segments of MPEG-TS that it has beside them: two, and half of the next one.
	segmentsHeld = 7*4 + 2
	wholeHeld    = 2*4 + 2
	// ringFilled and windowFilled are long enough to hold as much.
	ringFilled   = "12s"
	windowFilled = "45s"
)

var fanoutColumns = []column{costColumn, ratioColumn, latency50Column, latency99Column, memoryColumn, servedColumn}

// scenarios are all there are.
var scenarios = slices.Concat(singleScenarios, clusterScenarios())

// singleScenarios are those of one server.
var singleScenarios = []scenario{
	{
		name:    "fanout",
		title:   "One stream of 2.6 Mbit/s, 30 pictures and 43 audio frames a second, to 1,000 players",
		load:    players(1000),
		columns: fanoutColumns,
		rows: []row{
			{name: "floor: C loop, one write per picture", kind: floor{}},
			{name: "livego RTMP, per picture", kind: livego{}, args: perPicture(), load: play("rtmp")},
			{name: "livego HTTP-FLV, per picture", kind: livego{}, args: perPicture(), load: play("http-flv")},
			{name: "livego WebSocket-FLV, per picture", kind: livego{}, args: perPicture(), load: play("ws-flv")},
			{name: "nginx-rtmp", kind: nginx{}},
			{name: "livego RTMP, defaults, HLS too", kind: livego{}, args: []string{packaged}, load: play("rtmp")},
			{name: "floor: C loop, one write per 100 ms", kind: floor{}, args: []string{"100"}, base: true},
			{name: "livego RTMP, every 100 ms", kind: livego{}, args: forced(), load: play("rtmp")},
			{name: "livego HTTP-FLV, every 100 ms", kind: livego{}, args: forced(), load: play("http-flv")},
		},
	},
	{
		name:    "load",
		title:   "One stream of 2.6 Mbit/s to more and more players, livego with its defaults",
		columns: []column{coresColumn, costColumn, latency50Column, latency99Column, latencyMaxColumn, rateColumn, servedColumn},
		rows: []row{
			{name: "livego RTMP, 250 players", kind: livego{}, load: players(250)},
			{name: "livego RTMP, 500 players", kind: livego{}, load: players(500)},
			{name: "livego RTMP, 1,000 players", kind: livego{}, load: players(1000)},
			{name: "livego RTMP, 2,000 players", kind: livego{}, load: players(2000)},
			{name: "livego RTMP, 3,000 players", kind: livego{}, load: players(3000)},
			{name: "nginx-rtmp, 1,000 players", kind: nginx{}, load: players(1000)},
			{name: "nginx-rtmp, 3,000 players", kind: nginx{}, load: players(3000)},
			{name: "floor, one write per 100 ms, 3,000 players", kind: floor{}, args: []string{"100"}, load: players(3000)},
		},
	},
	{
		name:    "memory",
		title:   "Memory with 3,000 players of one stream of 2.6 Mbit/s",
		load:    players(3000),
		columns: []column{memoryColumn, perPlayerColumn, coresColumn, latency99Column, servedColumn},
		rows: []row{
			{name: "nginx-rtmp", kind: nginx{}},
			{name: "livego RTMP, defaults", kind: livego{}, load: play("rtmp")},
			{name: "livego HTTP-FLV, defaults", kind: livego{}, load: play("http-flv")},
			{name: "livego WebSocket-FLV, defaults", kind: livego{}, load: play("ws-flv")},
		},
	},
	{
		name:    "tls",
		title:   "One stream of 2.6 Mbit/s to 300 players over TLS 1.3 (AES-128-GCM)",
		load:    players(300, "--insecure", "--join-rate", "200"),
		columns: fanoutColumns,
		rows: []row{
			{name: "floor: crypto/tls in a loop, one write per picture", kind: tlsFloor{}},
			{name: "livego RTMPS, per picture", kind: livego{tls: true}, args: perPicture(), load: play("rtmps")},
			{name: "livego HTTPS-FLV, per picture", kind: livego{tls: true}, args: perPicture(), load: play("http-flv")},
			{name: "livego WSS-FLV, per picture", kind: livego{tls: true}, args: perPicture(), load: play("ws-flv")},
			{name: "livego HTTPS-FLV, defaults", kind: livego{tls: true}, load: play("http-flv")},
		},
	},
	{
		name:    "join",
		title:   "1,000 players join a stream of 2.6 Mbit/s within a second while 500 watch",
		load:    players(500, "--storm", "1000", "--sample", "50"),
		columns: []column{gapMaxColumn, latency99Column, latencyMaxColumn, stormKey50Column, stormKey99Column, stormColumn, servedColumn},
		rows: []row{
			{name: "nginx-rtmp (which starts players at the next key frame)", kind: nginx{}},
			{name: "livego RTMP, defaults", kind: livego{}, load: play("rtmp")},
			{name: "livego HTTP-FLV, defaults", kind: livego{}, load: play("http-flv")},
			{name: "livego WebSocket-FLV, defaults", kind: livego{}, load: play("ws-flv")},
		},
	},
	{
		name:    "many",
		title:   "300 streams of 0.5 Mbit/s to 10 players each",
		load:    few(),
		columns: fanoutColumns,
		rows: []row{
			{name: "floor: C loop, one write per picture", kind: floor{}},
			{name: "livego RTMP, per picture", kind: livego{}, args: perPicture(), load: play("rtmp")},
			{name: "livego HTTP-FLV, per picture", kind: livego{}, args: perPicture(), load: play("http-flv")},
			{name: "nginx-rtmp", kind: nginx{}},
			{name: "livego RTMP, defaults, HLS too", kind: livego{}, args: []string{packaged}, load: play("rtmp")},
		},
	},
	{
		name:    "audio",
		title:   "One audio stream of 64 kbit/s to 10,000 players",
		load:    players(10_000, "--video-rate", "0", "--audio-rate", "64", "--join-rate", "500"),
		columns: []column{coresColumn, memoryColumn, perPlayerColumn, latency50Column, latency99Column, starvedColumn, servedColumn},
		rows: []row{
			{name: "nginx-rtmp", kind: nginx{}},
			{name: "livego RTMP, defaults", kind: livego{}, load: play("rtmp")},
			{name: "livego HTTP-FLV, defaults", kind: livego{}, load: play("http-flv")},
		},
	},
	{
		name:    "ingest",
		title:   "40 publishers of 2.6 Mbit/s, no players",
		load:    []string{"--streams", "40", "--players", "0"},
		columns: []column{coresColumn, coresRatioColumn, memoryColumn, heapColumn, heldColumn, heapShareColumn, memoryShareColumn},
		rows: []row{
			{name: "nginx-rtmp, HLS on (on disk)", kind: nginx{}, args: nginxHLS(), load: []string{"--warmup", ringFilled}},
			{name: "livego, HLS packaged always (MPEG-TS and CMAF)", kind: livego{}, args: []string{packaged}, load: []string{"--warmup", windowFilled}, held: segmentsHeld + wholeHeld},
			{name: "livego, HLS packaged always (MPEG-TS only)", kind: livego{}, args: []string{packaged, "--hls_cmaf=false"}, load: []string{"--warmup", windowFilled}, held: segmentsHeld + wholeHeld},
			{name: "nginx-rtmp, HLS off", kind: nginx{}, load: []string{"--warmup", ringFilled}, base: true},
			{name: "livego, HLS off", kind: livego{}, args: []string{noHLS}, load: []string{"--warmup", ringFilled}, held: gopHeld},
		},
	},
	{
		name:    "relay",
		title:   "One stream of 2.6 Mbit/s to 100 players, and to 100 other servers, without HLS",
		load:    []string{"--warmup", "8s"},
		columns: []column{coresColumn, coresRatioColumn, memoryColumn, servedColumn},
		rows: []row{
			{name: "livego, 100 RTMP players", kind: livego{}, args: []string{noHLS}, load: players(100)},
			{name: "livego, 100 pushes by RTMP", kind: pusher{}, args: []string{noHLS}, load: players(0)},
		},
	},
	{
		name:    "record",
		title:   "40 publishers of 2.6 Mbit/s, no players, recorded as CMAF in a folder",
		load:    []string{"--streams", "40", "--players", "0", "--warmup", ringFilled},
		columns: []column{coresColumn, perStreamColumn, {"of a CMAF packager", packagerShare}, memoryColumn},
		rows: []row{
			{name: "livego, HLS on (MPEG-TS only)", kind: livego{}, args: []string{packaged, "--hls_cmaf=false"}, base: true},
			{name: "livego, HLS on (MPEG-TS and CMAF)", kind: livego{}, args: []string{packaged}, base: true},
			{name: "livego, HLS on, recorded", kind: recorder{}, args: []string{packaged}, base: true},
		},
	},
	{
		name:    "tokens",
		title:   "One stream of 2.6 Mbit/s to players that need a token, and to players that need none",
		columns: []column{costColumn, ratioColumn, latency99Column, servedColumn},
		rows: []row{
			{name: "HTTP-FLV, 1,000 players", kind: livego{}, args: []string{noHLS}, load: append(play("http-flv"), players(1000)...)},
			{name: "with tokens", kind: guarded{path: "/live/{stream}.flv", port: flvPort}, args: []string{noHLS}, load: players(1000)},
			{name: "Low-Latency HLS, 200 players", kind: livego{}, load: append(play("ll-hls"), players(200, "--join-rate", "200", "--warmup", "4s")...), base: true},
			{name: "with tokens", kind: guarded{path: "/live/{stream}/index.m3u8", port: hlsPort}, load: players(200, "--join-rate", "200", "--warmup", "4s")},
		},
	},
	{
		name:    "events",
		title:   "One stream of 2.6 Mbit/s to 1,000 RTMP players, unobserved, and with 64 clients that follow the events and one that asks for metrics, streams and sessions each second",
		load:    append(play("rtmp"), players(1000)...),
		columns: []column{costColumn, ratioColumn, latency50Column, latency99Column, latencyMaxColumn, servedColumn},
		rows: []row{
			{name: "livego", kind: livego{}, args: []string{noHLS}},
			{name: "observed", kind: observed{}, args: []string{noHLS}},
		},
	},
	{
		name:    "streams",
		title:   "Streams that nobody watches, or few",
		columns: []column{coresColumn, coresRatioColumn, memoryColumn, heapColumn, heldColumn, servedColumn},
		rows: []row{
			{name: "nginx-rtmp, HLS on disk, 40 publishers of 2.6 Mbit/s from their begin on", kind: nginx{}, args: nginxHLS(), load: idle(40, "--warmup", "2s")},
			{name: "livego, defaults, the same", kind: livego{}, load: idle(40, "--warmup", "2s")},
			{name: "nginx-rtmp, HLS on disk, the same once windows are full", kind: nginx{}, args: nginxHLS(), load: idle(40, "--warmup", windowFilled), base: true},
			{name: "livego, defaults, the same", kind: livego{}, load: idle(40, "--warmup", windowFilled), held: ringHeld},
			{name: "livego, defaults, 1,000 publishers of 1 Mbit/s", kind: livego{}, load: idle(1000, "--video-rate", "904", "--warmup", windowFilled), base: true},
			{name: "nginx-rtmp, 300 streams of 0.5 Mbit/s to 10 players each", kind: nginx{}, load: few(), base: true},
			{name: "livego, defaults, the same", kind: livego{}, load: few()},
		},
	},
	{
		name:  "hls",
		title: "HLS, MPEG-TS and CMAF (with the playlist of Low-Latency HLS): 64 connections that ask for one file again and again, livego for what it packages and nginx for a copy on disk",
		run:   (*measurement).hls,
	},
	{
		name:    "llhls",
		title:   "Low-Latency HLS of one stream of 2.6 Mbit/s: each player asks for parts by their hints and holds a request for the next playlist, for pictures and for sound",
		load:    append(play("ll-hls"), "--join-rate", "200", "--warmup", "4s"),
		columns: []column{part50Column, part99Column, latency50Column, latency99Column, coresColumn, costColumn, rateColumn, servedColumn},
		rows: []row{
			{name: "livego, 10 players", kind: livego{}, load: players(10)},
			{name: "livego, 100 players", kind: livego{}, load: players(100)},
			{name: "livego, 300 players", kind: livego{}, load: players(300)},
			{name: "livego, 1,000 players", kind: livego{}, load: players(1000)},
			{name: "livego, 1,000 players, pictures and sound joined", kind: livego{}, args: []string{joined}, load: players(1000)},
			{name: "livego, 3,000 players, pictures and sound joined", kind: livego{}, args: []string{joined}, load: players(3000)},
			{name: "livego, 300 players over TLS, HTTP/1.1", kind: livegoHTTPS{}, load: players(300)},
			{name: "livego, 100 players over TLS, HTTP/2", kind: livegoHTTPS{two: true}, load: players(100)},
		},
	},
	{
		name:  "stopped",
		title: "Players of a stream of 2.6 Mbit/s that stop reading",
		run:   (*measurement).stopped,
	},
}
