//go:build linux

package main

// scenario is a load and the servers that get it. The first row is what the others are compared with.
type scenario struct {
	name  string
	title string
	// load are flags of livego bench for all rows.
	load []string
	rows []row
	// idle: there are no players, so cost is told in cores.
	idle bool
	// files: single files are asked for instead of streams (hls.go); there are no rows.
	files bool
}

// row is a line of the table.
type row struct {
	name string
	kind kind
	args []string // of the server
	load []string // of livego bench
}

// perPicture switches livego's batching off: one write for each player and picture, as the floor does.
func perPicture() []string { return []string{"--max_batch_delay", "0"} }

// ringFilled is long enough for servers to hold all the media that they are going to hold.
const ringFilled = "15s"

func play(protocol string) []string { return []string{"--protocol", protocol} }

var scenarios = []scenario{
	{
		name:  "fanout",
		title: "One stream of 2.6 Mbit/s, 30 pictures and 43 audio frames a second, to 1,000 players",
		load:  []string{"--players", "1000"},
		rows: []row{
			{name: "floor: C loop, one write per picture", kind: floor{}},
			{name: "livego RTMP, per picture", kind: livego{}, args: perPicture(), load: play("rtmp")},
			{name: "livego HTTP-FLV, per picture", kind: livego{}, args: perPicture(), load: play("http-flv")},
			{name: "livego WebSocket-FLV, per picture", kind: livego{}, args: perPicture(), load: play("ws-flv")},
			{name: "nginx-rtmp", kind: nginx{}},
			{name: "livego RTMP, defaults", kind: livego{}, load: play("rtmp")},
			{name: "floor: one write per 100 ms", kind: floor{}, args: []string{"100"}},
		},
	},
	{
		name:  "many",
		title: "300 streams of 0.5 Mbit/s to 10 players each",
		load:  []string{"--streams", "300", "--players", "3000", "--video-rate", "452", "--audio-rate", "64"},
		rows: []row{
			{name: "floor: C loop, one write per picture", kind: floor{}},
			{name: "livego RTMP, per picture", kind: livego{}, args: perPicture(), load: play("rtmp")},
			{name: "livego HTTP-FLV, per picture", kind: livego{}, args: perPicture(), load: play("http-flv")},
			{name: "nginx-rtmp", kind: nginx{}},
		},
	},
	{
		name:  "audio",
		title: "One audio stream of 64 kbit/s to 8,000 players",
		load:  []string{"--players", "8000", "--video-rate", "0", "--audio-rate", "64"},
		rows: []row{
			{name: "nginx-rtmp", kind: nginx{}},
			{name: "livego RTMP, defaults", kind: livego{}, load: play("rtmp")},
			{name: "livego HTTP-FLV, defaults", kind: livego{}, load: play("http-flv")},
		},
	},
	{
		name:  "ingest",
		title: "40 publishers of 2.6 Mbit/s with HLS on, no players",
		load:  []string{"--streams", "40", "--players", "0", "--warmup", ringFilled},
		idle:  true,
		rows: []row{
			{name: "nginx-rtmp, HLS on", kind: nginx{}, args: []string{"hls on;", "hls_path hls;", "hls_fragment 3s;", "hls_playlist_length 9s;"}},
			{name: "nginx-rtmp, HLS off", kind: nginx{}},
			{name: "livego, HLS on", kind: livego{}},
			{name: "livego, HLS off", kind: livego{}, args: []string{"--hls_addr="}},
		},
	},
	{
		name:  "hls",
		title: "HLS: 64 connections that ask for one file again and again, the same from livego as it packages and from nginx on disk",
		files: true,
	},
}
