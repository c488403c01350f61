package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/ledger"
)

// streamKind is a stream that players are held against.
type streamKind struct {
	name string
	// publish publishes without end, and comes back after each loss.
	publish func(t testing.TB, s *server, key string)
}

var streamKinds = []streamKind{
	{"plain", comesBack("h264-aac")},
	{"ladder", func(t testing.TB, s *server, key string) {
		big, small := clip(t, "h264-aac", 10, "flv"), clip(t, "h264-small", 10, "flv")
		encode := "-v error -re -stream_loop -1 -i " + big + " -re -stream_loop -1 -i " + small +
			" -map 0 -c copy -f flv " + s.publishURL(key) + "?rendition=high -map 1 -c copy -f flv " + s.publishURL(key) + "?rendition=low"
		launch(t, "sh", "-c", "while :; do ffmpeg "+encode+"; sleep .3; done")
	}},
	{"B frames", comesBack("h264-aac-b")},
	{"sound only", comesBack("aac")},
	{"Opus", func(t testing.TB, s *server, key string) {
		publishAgain(t, s, key, wrap(t, clip(t, "h264-opus", 10, "mp4"), wrapping{}))
	}},
}

// comesBack publishes a clip with FFmpeg, as a shell script does that is not to be stopped.
func comesBack(name string) func(testing.TB, *server, string) {
	return func(t testing.TB, s *server, key string) {
		launch(t, "sh", "-c", "while :; do ffmpeg -v error -re -stream_loop -1 -i "+clip(t, name, 10, "flv")+
			" -c copy -f flv "+s.publishURL(key)+"; sleep .3; done")
	}
}

// publishAgain does the same with the tests' own client, for what FFmpeg does not publish.
func publishAgain(t testing.TB, s *server, key string, tags []tag) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if p, err := tryDial(s.rtmp); err == nil {
				if p.tryConnect("live") == nil && p.publish(key) == nil {
					pub := &publication{probe: p, began: time.Now()}
					_ = pub.send(ctx, tags, pacing{loop: true})
				}
				p.Close()
			}
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
}

// playerKind is a player, and how it is told to play.
type playerKind struct {
	name string
	// over are the containers that it plays.
	over []string
	play func(t testing.TB, address string) player
	// web: it runs in Chromium.
	web bool
}

// The containers.
const (
	overTS   = "MPEG-TS"
	overCMAF = "CMAF"
	overFLV  = "FLV"
)

var hlsContainers = []string{overTS, overCMAF}

var playerKinds = []playerKind{
	{"hls.js", hlsContainers, inPage(hlsJS, nil), true},
	{"Shaka", hlsContainers, inPage(shakaPlayer, nil), true},
	{"video.js", hlsContainers, inPage(videoJS, nil), true},
	{"Chromium", hlsContainers, inPage(nativePlayer, nil), true},
	{"mpegts.js", []string{overFLV}, inPage(mpegtsAgain, nil), true},
	{"FFmpeg", hlsContainers, playFFmpeg, false},
	{"GStreamer", hlsContainers, playGStreamer, false},
	{"VLC", []string{overTS, overCMAF, overFLV}, playVLC, false},
}

func inPage(name string, config map[string]any) func(testing.TB, string) player {
	return func(t testing.TB, address string) player { return webPlay(t, name, address, config) }
}

// cell is one player over a restart.
type cell struct {
	end      string
	rewind   bool
	kind     *streamKind
	player   *playerKind
	over     string
	running  player
	before   account
	halt     float64
	verdict  string
	standing bool
}

func (c *cell) String() string {
	return fmt.Sprintf("%-10s %-9v %-10s %-7s %-10s", c.end, c.rewind, c.player.name, c.over, c.kind.name)
}

func (c *cell) address(s *server, room string) string {
	switch c.over {
	case overFLV:
		return s.flvURL(room)
	case overTS:
		return s.hlsURL(room)
	}
	return s.indexURL(room)
}

// wholeMatrix says whether all cells are asked for: make players.
func wholeMatrix() bool { return os.Getenv("LIVEGO_PLAYERS") != "" }

// cells lists the matrix for one server: those that pass.
func cells(end string, rewind bool, pass func(*cell) bool) (list []*cell) {
	for p := range playerKinds {
		for _, over := range playerKinds[p].over {
			for k := range streamKinds {
				c := &cell{end: end, rewind: rewind, kind: &streamKinds[k], player: &playerKinds[p], over: over}
				if pass(c) {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// short is a part of the matrix in which each container and stream is there once at least, and what
// no other test has.
func short(c *cell) bool {
	switch c.player.name + " " + c.over + " " + c.kind.name {
	case "hls.js MPEG-TS B frames", "Shaka CMAF plain", "video.js CMAF plain", "Chromium CMAF ladder", "FFmpeg CMAF Opus", "FFmpeg MPEG-TS sound only":
		return true
	}
	return false
}

// pagesAtOnce and programsAtOnce are how many players decode at a time where halts are measured.
const (
	pagesAtOnce    = 2
	programsAtOnce = 1
)

// batches cuts the list so that not too many play at a time. The few of make e2e, where nobody
// measures, play all at once.
func batches(list []*cell) (all [][]*cell) {
	if !wholeMatrix() {
		return [][]*cell{list}
	}
	var pages, programs []*cell
	for _, c := range list {
		if c.player.web {
			pages = append(pages, c)
		} else {
			programs = append(programs, c)
		}
	}
	for len(pages)+len(programs) > 0 {
		n, m := min(pagesAtOnce, len(pages)), min(programsAtOnce, len(programs))
		all = append(all, slices.Concat(pages[:n], programs[:m]))
		pages, programs = pages[n:], programs[m:]
	}
	return all
}

// TestPlayersRestart ends the server beneath players of all kinds, and starts it again at once.
// Encoders come back by themselves. Nobody clicks: a page begins anew only as docs/players.md says.
// In make e2e a part of the matrix runs, in make players all of it.
func TestPlayersRestart(t *testing.T) {
	t.Parallel()
	var table []string
	var mu sync.Mutex
	run := func(t *testing.T, end string, rewind bool, pass func(*cell) bool) {
		args := []string{}
		if rewind {
			args = append(args, "--hls_dvr_window", "10m")
		}
		s := startShipped(t, args...)
		rooms := map[string]string{}
		for _, k := range streamKinds {
			room := roomOf(t) + "-" + strings.ReplaceAll(strings.ToLower(k.name), " ", "-")
			rooms[k.name] = room
		}
		s.knowStreams(t, rooms, 3*time.Second, args)
		for _, k := range streamKinds {
			k.publish(t, s, s.key(t, rooms[k.name]))
		}
		for _, room := range rooms {
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
		}
		for i, batch := range batches(cells(end, rewind, pass)) {
			t.Run(fmt.Sprint(i), func(t *testing.T) { restartBeneath(t, s, rooms, batch, args) })
			mu.Lock()
			for _, c := range batch {
				table = append(table, fmt.Sprintf("%v halt %4.1f s %s", c, c.halt, c.verdict))
			}
			mu.Unlock()
		}
	}
	t.Cleanup(func() { t.Logf("restarts:\n%s", strings.Join(table, "\n")) })
	if !wholeMatrix() {
		run(t, "kill -9", false, short)
		return
	}
	for _, end := range []string{"kill -9", "SIGTERM"} {
		for _, rewind := range []bool{false, true} {
			run(t, end, rewind, wanted)
		}
	}
}

// TestPlayersWrap lets the times of MPEG-TS wrap at 2^33 while players of all kinds play: the
// ledger says that the lives before ended a little before that.
func TestPlayersWrap(t *testing.T) {
	t.Parallel()
	s := startShipped(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	rooms := map[string]string{}
	for _, k := range wrapping33 {
		rooms[k.name] = roomOf(t) + "-" + strings.ReplaceAll(strings.ToLower(k.name), " ", "-")
	}
	list := cells("wrap", false, func(c *cell) bool {
		wraps := c.over == overTS && slices.ContainsFunc(wrapping33, func(k streamKind) bool { return k.name == c.kind.name })
		if wholeMatrix() {
			return wraps && wanted(c)
		}
		return wraps && c.kind.name == "plain" && slices.Contains([]string{"hls.js", "video.js", "FFmpeg"}, c.player.name)
	})
	for i, batch := range batches(list) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			chromium.turn(t)
			s.noteLives(t, rooms, untilWrap)
			s.relaunch(t, setting(t, "LIVEGO_BIN"), nil)
			for _, k := range wrapping33 {
				k.publish(t, s, s.key(t, rooms[k.name]))
			}
			began := time.Now()
			for _, c := range batch {
				waitPlaylist(t, s.hlsURL(rooms[c.kind.name]))
				c.running = c.player.play(t, c.address(s, rooms[c.kind.name]))
			}
			for _, c := range batch {
				if !waitUntil(slack*30*time.Second, func() bool { return c.running.account(t).played > 4 }) {
					c.verdict, c.standing = "does not play at all: "+c.running.account(t).said, true
				}
			}
			if over := time.Since(began) - untilWrap; over > 0 {
				t.Logf("players began %v after the wrap", over)
			}
			pause(t, time.Until(began.Add(untilWrap-5*time.Second)))
			for _, c := range batch {
				c.before = c.running.account(t)
			}
			for _, c := range batch {
				c.judge(t, time.Now(), 0)
			}
			for name, room := range rooms {
				if start := s.newestStart(t, room); start > 2*patience.Seconds() {
					t.Errorf("%s: times did not wrap: the newest segment begins at %.0f s", name, start)
				}
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
		for _, c := range batch {
			t.Logf("%v halt %4.1f s %s", c, c.halt, c.verdict)
		}
	}
}

// newestStart returns the time at which the newest MPEG-TS segment of a stream begins, in seconds.
func (s *server) newestStart(t testing.TB, room string) float64 {
	t.Helper()
	_, text, _ := get(s.hlsURL(room))
	list, err := parsePlaylist(s.hlsURL(room), string(text))
	if err != nil || len(list.segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	p := launch(t, "ffprobe", "-v", "error", "-show_entries", "format=start_time", "-of", "csv=p=0", list.segments[len(list.segments)-1].address)
	p.succeed(t, 20*time.Second)
	start, err := strconv.ParseFloat(strings.TrimSpace(p.output.String()), 64)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// untilWrap is when the times of MPEG-TS wrap after a stream's begin.
const untilWrap = 45 * time.Second

// wrapping33 are the streams whose times wrap.
var wrapping33 = []streamKind{streamKinds[0], streamKinds[2], streamKinds[3]}

// noteLives writes into the ledger that each stream ended so that its next life begins a while
// before the times of MPEG-TS wrap. The server must not run.
func (s *server) noteLives(t testing.TB, rooms map[string]string, ahead time.Duration) {
	t.Helper()
	const wrap = time.Duration(1<<33) * (time.Second / 10000) / 9
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	reach := (time.Since(epoch)/wrap+2)*wrap - ahead - time.Second
	s.note(t, rooms, ledger.Entry{Reach: reach, Over: true})
}

// note writes into the ledger what the last life of each stream used.
func (s *server) note(t testing.TB, rooms map[string]string, last ledger.Entry) {
	t.Helper()
	l := ledger.Open(ledger.Options{Path: filepath.Join(s.dir, "data", "hls.ledger")})
	for _, room := range rooms {
		life, _, _ := l.Begin("live/" + room)
		life.Note(last)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// knowStreams restarts the server, which knows then how long the segments of the streams are: else
// it reckons with a key frame each ten seconds, and players without parts begin late.
func (s *server) knowStreams(t testing.TB, rooms map[string]string, longest time.Duration, args []string) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.note(t, rooms, ledger.Entry{Longest: longest, Over: true})
	s.relaunch(t, setting(t, "LIVEGO_BIN"), nil, args...)
}

// wanted are the cells whose line begins with, or has, what LIVEGO_PLAYERS says.
func wanted(c *cell) bool {
	if c.player.name == "VLC" && !hasVLC() {
		return false
	}
	for _, word := range strings.Split(os.Getenv("LIVEGO_PLAYERS"), ",") {
		if word != "all" && !strings.Contains(c.String(), word) {
			return false
		}
	}
	return true
}

// patience is how long after a restart a player may take to go on.
const patience = 60 * time.Second

// restartBeneath lets the players of a batch play, restarts the server, and fills in what they did.
func restartBeneath(t *testing.T, s *server, rooms map[string]string, batch []*cell, args []string) {
	chromium.turn(t)
	for _, c := range batch {
		c.running = c.player.play(t, c.address(s, rooms[c.kind.name]))
	}
	for _, c := range batch {
		if !waitUntil(slack*40*time.Second, func() bool { return c.running.account(t).played > 4 }) {
			c.verdict, c.standing = "does not play at all: "+c.running.account(t).said, true
		}
	}
	if wholeMatrix() {
		pause(t, 4*time.Second)
	}
	for _, c := range batch {
		c.before = c.running.account(t)
	}
	began := time.Now()
	if batch[0].end == "SIGTERM" {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	} else {
		s.kill()
	}
	s.relaunch(t, setting(t, "LIVEGO_BIN"), nil, args...)
	for _, room := range rooms {
		s.waitOnAir(t, room)
	}
	away := time.Since(began).Seconds()
	for _, c := range batch {
		c.judge(t, began, away)
	}
}

// judge waits until the player has gone on for long enough, and says how it did.
func (c *cell) judge(t *testing.T, began time.Time, away float64) {
	if c.standing {
		return
	}
	const enough = 12 // s: more than any of them has in its buffer
	var now account
	went := waitUntil(time.Until(began.Add(patience)), func() bool {
		now = c.running.account(t)
		return now.played > c.before.played+enough
	})
	c.halt = now.stood - c.before.stood
	c.verdict = fmt.Sprintf("(server away %.1f s, page or program began anew %d times)", away, now.begun-c.before.begun)
	if !went {
		c.standing = true
		c.verdict = fmt.Sprintf("stands: played %.1f s, %s", now.played-c.before.played, c.verdict)
	}
	if now.said != "" {
		c.verdict += " " + now.said[:min(len(now.said), 400)]
	}
	if c.standing && !c.mayStand() {
		t.Errorf("%v %s", c, c.verdict)
	}
}

// mayStand says that it is known that the player stands, and not for want of something here.
// GStreamer (1.22): when the playlist that comes after an outage has no segment that it knows, it
// seeks to live, and hangs.
func (c *cell) mayStand() bool { return c.player.name == "GStreamer" && c.end != "wrap" }
