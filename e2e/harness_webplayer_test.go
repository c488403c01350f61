package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chromium is the browser that tests share: a Node program, web/driver.mjs, holds it and takes
// orders by lines of JSON.
var chromium webDriver

type webDriver struct {
	once    sync.Once
	command *exec.Cmd
	in      io.WriteCloser
	site    *httptest.Server // the page with the players
	problem error
	turns   sync.Map // names of the tests that have one
	slots   chan struct{}

	mutex   sync.Mutex
	last    int
	waiting map[int]chan webAnswer
	ended   error // not nil when no more answers will come
}

type webAnswer struct {
	ID     int
	Result json.RawMessage
	Error  string
}

// start runs the driver at first use, for all tests.
func (d *webDriver) start(t testing.TB) {
	t.Helper()
	d.once.Do(func() { d.problem = d.launch() })
	if d.problem != nil {
		t.Fatalf("the browser that tests share (scripts/install-test-tools.sh installs what it needs): %v", d.problem)
	}
}

func (d *webDriver) launch() error {
	program, err := exec.LookPath("chromium")
	if err != nil {
		return err
	}
	command := exec.Command("node", "web/driver.mjs", program)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if d.in, err = command.StdinPipe(); err != nil {
		return err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	d.command, d.waiting, d.slots = command, make(map[int]chan webAnswer), make(chan struct{}, webTests)
	d.site = httptest.NewServer(webSite())
	go d.read(out)
	return nil
}

// webSite serves the test page and the players beside it.
func webSite() http.Handler {
	routes := http.NewServeMux()
	for name, path := range map[string]string{
		"/player.html": "web/player.html", "/player.js": "web/player.js", "/others.js": "web/others.js",
		"/shaka-player.compiled.js": "web/node_modules/shaka-player/dist/shaka-player.compiled.js",
		"/video.min.js":             "web/node_modules/video.js/dist/video.min.js",
		"/hls.min.js":               "web/node_modules/hls.js/dist/hls.min.js", "/mpegts.js": "web/node_modules/mpegts.js/dist/mpegts.js",
	} {
		routes.HandleFunc(name, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.FromSlash(path)) })
	}
	return routes
}

func (d *webDriver) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var answer webAnswer
		if json.Unmarshal(lines.Bytes(), &answer) != nil {
			continue
		}
		d.mutex.Lock()
		waiting := d.waiting[answer.ID]
		delete(d.waiting, answer.ID)
		d.mutex.Unlock()
		if waiting != nil {
			waiting <- answer
		}
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.ended = errors.Join(errors.New("the browser's driver ended"), lines.Err())
	for _, waiting := range d.waiting {
		waiting <- webAnswer{Error: d.ended.Error()}
	}
	d.waiting = nil
}

// call gives an order and decodes its result.
func (d *webDriver) call(t testing.TB, method string, parameters map[string]any, result any) {
	t.Helper()
	select {
	case answer := <-d.send(t, method, parameters):
		if answer.Error != "" {
			t.Fatalf("browser, %s: %s", method, answer.Error)
		}
		if result == nil {
			return
		}
		if err := json.Unmarshal(answer.Result, result); err != nil {
			t.Fatalf("browser, %s: %v", method, err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("browser, %s: no answer", method)
	}
}

func (d *webDriver) send(t testing.TB, method string, parameters map[string]any) <-chan webAnswer {
	t.Helper()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.ended != nil {
		t.Fatal(d.ended)
	}
	d.last++
	order := map[string]any{"id": d.last, "method": method}
	for name, value := range parameters {
		order[name] = value
	}
	line, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	answer := make(chan webAnswer, 1)
	d.waiting[d.last] = answer
	return answer
}

// stop ends the browser and waits for it.
func (d *webDriver) stop() error {
	if d.command == nil {
		return nil
	}
	defer d.site.Close()
	_ = d.in.Close()
	ended := make(chan error, 1)
	go func() { ended <- d.command.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-d.command.Process.Pid, syscall.SIGKILL)
		return errors.Join(errors.New("the browser did not end"), <-ended)
	}
}

// webPlayer is a page with a player in it.
type webPlayer struct{ page int }

// The players that a page knows.
const (
	hlsJS    = "hls"
	mpegtsJS = "mpegts"
	// Those that begin anew after a fault, as docs/players.md says.
	shakaPlayer, videoJS, nativePlayer, mpegtsAgain, hlsAgain = "shaka", "videojs", "native", "mpegtsAgain", "hlsAgain"
)

// webReport is the account of web/player.js.
type webReport struct {
	Position, Buffered, Latency, Target float64
	First                               float64 // when the first picture was seen, in ms since 1970, 0: none was
	Width, Height, Decoded, Dropped     int
	Errors, Fatal, Levels, Slowest      []string
	Switches                            []int
	Halts                               []struct{ At, Seconds float64 }
	Behind                              []float64
	Stamp                               *struct {
		Value int
		At    float64
	}
	Complete, Paused bool
	Level, Begun     int
	Played           float64
	MediaError       string
}

func (r webReport) String() string {
	behind := ""
	if low, middle, high := quantiles(r.Behind); len(r.Behind) > 0 {
		behind = fmt.Sprintf(", behind %.2f/%.2f/%.2f s", low, middle, high)
	}
	return fmt.Sprintf("at %.2f s, buffered %.2f s, latency %.2f s of %.2f s%s, %dx%d, %d pictures and %d dropped, halts %.2v, switches %v of %q, complete %v, paused %v, errors %q, fatal %q %s, slow requests %q",
		r.Position, r.Buffered, r.Latency, r.Target, behind, r.Width, r.Height, r.Decoded, r.Dropped, r.Halts, r.Switches, r.Levels, r.Complete, r.Paused, r.Errors, r.Fatal, r.MediaError, r.Slowest)
}

// stood is for how many seconds the position stood still.
func (r webReport) stood() (sum float64) {
	for _, halt := range r.Halts {
		sum += halt.Seconds
	}
	return sum
}

// webTests is how many tests may have pages at a time: each decodes video, with a processor to
// share.
const webTests = 2

// turn waits until the test may use the browser, and leaves it to others when the test ends. Tests
// take their turn before they publish, so that streams do not run meanwhile. Subtests have that of
// their test: two tests that each wait for a second turn would wait for good.
func (d *webDriver) turn(t testing.TB) {
	t.Helper()
	for name := t.Name(); strings.Contains(name, "/"); {
		name = name[:strings.LastIndex(name, "/")]
		if _, has := d.turns.Load(name); has {
			return
		}
	}
	if _, has := d.turns.LoadOrStore(t.Name(), true); has {
		return
	}
	d.start(t)
	waits := time.Now()
	d.slots <- struct{}{}
	begun := time.Now()
	t.Cleanup(func() {
		d.turns.Delete(t.Name())
		<-d.slots
		t.Logf("had the browser for %.0f s after %.0f s", time.Since(begun).Seconds(), begun.Sub(waits).Seconds())
	})
}

// webPlay opens a page and lets a player begin with the address.
func webPlay(t testing.TB, player, address string, config map[string]any) *webPlayer {
	t.Helper()
	p := webOpen(t, player)
	p.run(t, "begin", player, address, config)
	return p
}

// webOpen opens a page in which a player can begin.
func webOpen(t testing.TB, player string) *webPlayer {
	t.Helper()
	chromium.turn(t)
	p := &webPlayer{}
	chromium.call(t, "open", map[string]any{"url": chromium.site.URL + "/player.html"}, &p.page)
	t.Cleanup(func() {
		var said []string
		if t.Failed() {
			t.Logf("%s in Chromium: %v", player, p.report(t))
			var traced []string
			p.evaluate(t, "trace.slice(-400).map(line => line.slice(0, 300))", &traced)
			if len(traced) > 0 {
				t.Logf("what it did last:\n%s", strings.Join(traced, "\n"))
			}
		}
		chromium.call(t, "close", map[string]any{"page": p.page}, &said)
		if t.Failed() && len(said) > 0 {
			t.Logf("the page said:\n%s", strings.Join(said, "\n"))
		}
	})
	return p
}

func (p *webPlayer) run(t testing.TB, function, player, address string, config map[string]any) {
	t.Helper()
	if config == nil {
		config = map[string]any{}
	}
	arguments, err := json.Marshal([]any{player, address, config})
	if err != nil {
		t.Fatal(err)
	}
	p.evaluate(t, fmt.Sprintf("%s(...%s)", function, arguments), nil)
}

func (p *webPlayer) evaluate(t testing.TB, script string, result any) {
	t.Helper()
	chromium.call(t, "evaluate", map[string]any{"page": p.page, "script": script}, result)
}

func (p *webPlayer) report(t testing.TB) (r webReport) {
	t.Helper()
	p.evaluate(t, "report()", &r)
	return r
}

// throttle limits what the page downloads, in kbit/s; 0: no limit.
func (p *webPlayer) throttle(t testing.TB, kilobits int) {
	t.Helper()
	chromium.call(t, "throttle", map[string]any{"page": p.page, "kilobits": kilobits}, nil)
}

// forget begins the lists of errors, halts and samples anew.
func (p *webPlayer) forget(t testing.TB) {
	t.Helper()
	p.evaluate(t, "forget()", nil)
}

// waitFor waits until the account says what it must, and gives up at once after a fatal error.
func (p *webPlayer) waitFor(t testing.TB, limit time.Duration, what string, holds func(webReport) bool) webReport {
	t.Helper()
	var r webReport
	if !waitUntil(slack*limit, func() bool { r = p.report(t); return holds(r) || len(r.Fatal) > 0 }) {
		t.Fatalf("not within %v: %s", slack*limit, what)
	}
	if len(r.Fatal) > 0 {
		t.Fatalf("waiting for %s: the player gave up: %q", what, r.Fatal)
	}
	return r
}

// waitProgress waits until the player has played some seconds more.
func (p *webPlayer) waitProgress(t testing.TB, seconds float64, limit time.Duration) webReport {
	t.Helper()
	from := p.report(t).Position
	return p.waitFor(t, limit, fmt.Sprintf("%.1f s more than %.1f s are played", seconds, from), func(r webReport) bool {
		return r.Position > from+seconds
	})
}

// waitPlaying waits until pictures move, or the sound, where there are no pictures.
func (p *webPlayer) waitPlaying(t testing.TB) webReport {
	t.Helper()
	p.waitFor(t, 30*time.Second, "it plays", func(r webReport) bool { return r.Position > 0 })
	return p.waitProgress(t, 0.5, 20*time.Second)
}

// quantiles returns the lowest, the middle and the highest value but one in twenty on either side.
func quantiles(values []float64) (low, middle, high float64) {
	if len(values) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1))] }
	return at(0.05), at(0.5), at(0.95)
}
