package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The rhythm of TestSoak, in seconds.
const (
	targetEvery, targetAway = 60, 8
	bucketEvery, bucketAway = 120, 20
	sampleEvery, checkEvery = 10, 60
	visitLasts              = 4 * time.Second
)

// TestSoak runs for as long as LIVEGO_SOAK says (make soak): a stream goes from one livego to the
// next and from there to nginx-rtmp, which is killed each minute, and is recorded in S3, which is
// killed each two minutes. Players come and go at both servers. No viewer of these may see a gap,
// the recording must be what was published, access unit by access unit, and goroutines, descriptors
// and memory must stay as they are.
func TestSoak(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("LIVEGO_SOAK"))
	if err != nil {
		t.Skip("LIVEGO_SOAK is not set: make soak runs this test")
	}
	k := startSoak(t, duration)
	end := time.Now().Add(duration)
	second := 0
	for tick := time.Tick(time.Second); time.Now().Before(end) && !t.Failed(); <-tick {
		second++
		k.step(t, second)
	}
	k.finish(t)
}

// soak is what TestSoak runs.
type soak struct {
	room         string
	near, far    *server
	gateway      *gateway
	target       string
	nginx        *program
	tags         []tag
	pub          *publication
	viewers      []*viewer
	live         *llViewer
	visits       sync.WaitGroup
	visited      atomic.Int64
	arrivals     atomic.Int64
	problems     chan error
	kills, takes int // of the target and of the bucket
	samples      []sample
	began        time.Time
}

// sample is how both servers are at a moment.
type sample struct {
	second    int
	near, far usage
	visits    int64
}

// usage is what a server needs.
type usage struct{ goroutines, files, memory int }

func startSoak(t *testing.T, duration time.Duration) *soak {
	program := setting(t, "LIVEGO_BIN") // as it is shipped: the race detector's memory is not flat
	k := &soak{
		room: "soak", near: &server{}, far: &server{}, gateway: startGateway(t), target: freeAddress(t),
		tags: seamless(flvClip(t, "h264-aac", 11), duration+time.Minute), problems: make(chan error, 100), began: time.Now(),
	}
	k.nginx = startNginxAt(t, k.target, "application live { live on; }")
	run := func(s *server, env []string, args ...string) {
		s.launch(t, program, env, args...)
		t.Cleanup(func() {
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("log of the server:\n%s", s.logTail())
			}
		})
	}
	run(k.far, nil)
	run(k.near, gatewayEnv(gatewaySecret), "--record", "all", "--record_to", k.gateway.location(""), "--record_join", "2s", "--hls_segment_duration", "1")
	push := func(from *server, to string) {
		if status, text := relayed(t, from, "push", k.room, to); status != http.StatusOK {
			t.Fatalf("push: %d %s", status, text)
		}
	}
	push(k.near, k.far.publishURL(k.far.key(t, k.room)))
	push(k.far, "rtmp://"+k.target+"/live/"+k.room)
	k.pub = publish(t, k.near, k.near.key(t, k.room), k.tags, pacing{})
	k.far.waitOnAir(t, k.room)
	k.viewers = []*viewer{
		watchFLV(t, k.near, k.room), watchRTMP(t, k.near, k.room), watchWS(t, k.near, k.room), watchFLV(t, k.far, k.room), watchRTMP(t, k.far, k.room),
	}
	k.live = watchLL(t, k.near.indexURL(k.room), nil)
	return k
}

// period is as long as 256 pictures, 25 of them a second, and 441 frames of 1,024 samples, 44,100
// of them a second: a clip that is cut there can be repeated without a hole in picture or sound.
const period = 10_240

// seamless repeats a clip that is longer than the period for a while.
func seamless(tags []tag, lasts time.Duration) (all []tag) {
	for base := uint32(0); time.Duration(base)*time.Millisecond < lasts; base += period {
		for _, tag := range tags {
			if tag.time < period && (base == 0 || !tag.isHeader() && tag.kind != typeData) {
				tag.time += base
				all = append(all, tag)
			}
		}
	}
	return all
}

// step does what is due in a second.
func (k *soak) step(t *testing.T, second int) {
	switch second % targetEvery {
	case targetEvery / 2:
		k.nginx.kill()
		k.kills++
	case targetEvery/2 + targetAway:
		k.nginx = startNginxAt(t, k.target, "application live { live on; }")
		k.visits.Go(k.arrives)
	}
	switch second % bucketEvery {
	case bucketEvery / 2:
		k.gateway.kill()
		k.takes++
	case bucketEvery/2 + bucketAway:
		k.gateway.up(t)
	}
	k.visit(second)
	if second%sampleEvery == 0 {
		k.samples = append(k.samples, sample{second, k.near.usage(t), k.far.usage(t), k.visited.Load()})
	}
	if second%checkEvery == 0 {
		k.check(t)
		fmt.Fprintf(os.Stderr, "soak: %d min, %d visits, target killed %d times, bucket %d times\n", second/60, k.visited.Load(), k.kills, k.takes)
	}
	for len(k.problems) > 0 {
		t.Errorf("after %d s: %v", second, <-k.problems)
	}
}

// check looks at what the viewers got so far.
func (k *soak) check(t *testing.T) {
	for i, v := range k.viewers {
		v.going(t)
		what := fmt.Sprintf("%s, viewer %d", v.name, i)
		gapless(t, what, v.tags(), 250)
		rising(t, what, v.tags())
	}
	for _, s := range []*server{k.near, k.far} {
		s.alive(t)
	}
}

// arrives waits until the target has the stream again.
func (k *soak) arrives() {
	deadline := time.Now().Add(45 * time.Second)
	for time.Now().Before(deadline) {
		if visitRTMP(k.target, k.room, 3*time.Second) == nil {
			k.arrivals.Add(1)
			return
		}
	}
	k.problem("the target did not get the stream within 45 s")
}

func (k *soak) problem(format string, args ...any) {
	select {
	case k.problems <- fmt.Errorf(format, args...):
	default: // there are enough
	}
}

// visit lets a player come for a moment, by one protocol after the other, at one server after the
// other.
func (k *soak) visit(second int) {
	s := []*server{k.near, k.far}[second%2]
	k.visits.Go(func() {
		var err error
		switch second / 2 % 3 {
		case 0:
			err = visitRTMP(s.rtmp, k.room, visitLasts)
		case 1:
			err = visitHTTP(s.flvURL(k.room), visitLasts)
		case 2:
			err = visitHLS(s.indexURL(k.room))
		}
		if k.visited.Add(1); err != nil {
			k.problem("a player that came in second %d: %v", second, err)
		}
	})
}

// visitRTMP plays for a while, and fails if there is no picture.
func visitRTMP(address, stream string, lasts time.Duration) error {
	p, err := tryDial(address)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.tryConnect("live"); err != nil {
		return err
	}
	_ = p.command(0, "createStream", 3, nil) // an error shows when nothing comes
	_ = p.command(1, "play", 4, nil, stream, -2000)
	_ = p.SetReadDeadline(time.Now().Add(lasts))
	for pictures := 0; ; {
		m, err := p.receive()
		switch {
		case err != nil && pictures == 0:
			return fmt.Errorf("no picture over RTMP: %w", err)
		case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		case m.kind == typeVideo:
			pictures++
		}
	}
}

// visitHTTP reads for a while, and fails if little comes.
func visitHTTP(address string, lasts time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK || n < 10_000 {
		return fmt.Errorf("%s: %s, %d bytes, %w", address, answer.Status, n, err)
	}
	return nil
}

// visitHLS loads playlists and the newest segment of each.
func visitHLS(index string) error {
	load := func(address string) (string, error) {
		status, body, _ := get(address)
		if status != http.StatusOK {
			return "", fmt.Errorf("%s: %d", address, status)
		}
		return string(body), nil
	}
	text, err := load(index)
	if err != nil {
		return err
	}
	list, err := parseMultivariant(index, text)
	if err != nil {
		return err
	}
	base, err := url.Parse(index)
	if err != nil {
		return err
	}
	for _, address := range list.playlists() {
		if text, err = load(address); err != nil {
			return err
		}
		segments := regexp.MustCompile(`(?m)^[^#\n].*$`).FindAllString(text, -1)
		if len(segments) == 0 {
			continue
		}
		uri, err := base.Parse(segments[len(segments)-1])
		if err != nil {
			return err
		}
		if _, err := load(uri.String()); err != nil {
			return err
		}
	}
	return nil
}

// usage asks a server what it needs.
func (s *server) usage(t testing.TB) (u usage) {
	t.Helper()
	_, text, _ := s.fetch(t, "http://"+s.api+"/metrics")
	if found := regexp.MustCompile(`(?m)^go_goroutines (\d+)`).FindStringSubmatch(text); found != nil {
		u.goroutines, _ = strconv.Atoi(found[1])
	}
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(s.command.Process.Pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	u.files, u.memory = len(files), s.memory(t)
	return u
}

// finish ends the stream, and judges.
func (k *soak) finish(t *testing.T) {
	if ended(k.gateway.program) {
		k.gateway.up(t)
	}
	if ended(k.nginx) {
		k.nginx = startNginxAt(t, k.target, "application live { live on; }")
		k.visits.Go(k.arrives)
	}
	k.visits.Wait()
	k.check(t)
	k.pub.cancel()
	k.pub.finish(t)
	in := unitsOf(k.tags[:k.pub.sent.Load()], h264NAL)
	for i, v := range k.viewers {
		comparison{}.check(t, fmt.Sprintf("%s, viewer %d", v.name, i), in, unitsOf(v.waitEnd(t, 20*time.Second), h264NAL))
	}
	k.live.waitEnd(t, 20*time.Second)
	k.live.verify(t)
	out, _ := k.live.units(t, "")
	comparison{tolerance: 1}.check(t, "Low-Latency HLS", in, out)

	all, folders := waitRecorded(t, k.gateway.stored(), k.room, 1)
	recorded := 0
	for id, kind := range map[string]byte{"v0": typeVideo, "a0": typeAudio} {
		units := recordedUnits(t, folders[0], id)
		recorded += len(units)
		comparison{tolerance: 1, whole: true}.check(t, "the recording, "+id, only(in, kind), units)
	}
	k.flat(t)
	k.report(all[0], recorded, len(in))
	if all[0].Lost != 0 || int(k.arrivals.Load()) != k.kills {
		t.Errorf("%d segments are lost; after %d of %d kills the target got the stream again", all[0].Lost, k.arrivals.Load(), k.kills)
	}
}

func ended(p *program) bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// flat compares what the servers need in the last quarter with what they did in the second one.
func (k *soak) flat(t *testing.T) {
	n := len(k.samples)
	if n < 12 {
		t.Logf("too short to say whether goroutines, descriptors and memory are flat: %d samples", n)
		return
	}
	early, late := k.samples[n/4:n/2], k.samples[n*3/4:]
	for name, of := range map[string]func(sample) usage{
		"first server":  func(s sample) usage { return s.near },
		"second server": func(s sample) usage { return s.far },
	} {
		for what, c := range map[string]struct {
			of   func(usage) int
			more int
		}{
			"goroutines":      {func(u usage) int { return u.goroutines }, 10},
			"descriptors":     {func(u usage) int { return u.files }, 10},
			"bytes of memory": {func(u usage) int { return u.memory }, 16 << 20},
		} {
			before, after := median(early, func(s sample) int { return c.of(of(s)) }), median(late, func(s sample) int { return c.of(of(s)) })
			if after > before*11/10+c.more {
				t.Errorf("%s: %d %s in the second quarter, %d in the last one", name, before, what, after)
			}
		}
	}
}

func median(samples []sample, of func(sample) int) int {
	var all []int
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// report prints a table with a row a minute.
func (k *soak) report(r aRecording, recorded, sent int) {
	fmt.Printf("\n| minute | visits | goroutines | descriptors | MiB | goroutines, second server | descriptors | MiB |\n|%s\n", strings.Repeat("---:|", 8))
	for _, s := range k.samples {
		if s.second%60 == 0 || len(k.samples) < 12 {
			fmt.Printf("| %.1f | %d | %d | %d | %d | %d | %d | %d |\n", float64(s.second)/60, s.visits,
				s.near.goroutines, s.near.files, s.near.memory>>20, s.far.goroutines, s.far.files, s.far.memory>>20)
		}
	}
	fmt.Printf("\n%.0f minutes. Target killed %d times, had the stream again %d times; bucket killed %d times. %d players came and went.\n"+
		"Recording: %.0f s, %d bytes, %d segments lost; %d of %d access units that were published.\n",
		time.Since(k.began).Minutes(), k.kills, k.arrivals.Load(), k.takes, k.visited.Load(), r.Duration, r.Bytes, r.Lost, recorded, sent)
}
