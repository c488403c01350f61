//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"livego/internal/bench"
)

// pushes is how often the relay scenario pushes a stream.
const pushes = 100

// pusher is livego with pushes of each stream to another livego, which runs beside the load.
type pusher struct{ livego }

var _ kind = pusher{}

// pushTarget is the address to which streams are pushed.
func (m *measurement) pushTarget() string { return m.tlsAddr }

func (k pusher) command(m *measurement, args []string) (*target, error) {
	t, err := k.livego.command(m, args)
	if err != nil {
		return nil, err
	}
	var urls, apps []string
	for i := range pushes {
		urls = append(urls, fmt.Sprintf("rtmp://%s/copy%d", m.pushTarget(), i))
		apps = append(apps, fmt.Sprintf("- {appname: copy%d, live: true}\n", i))
	}
	dir, err := os.MkdirTemp(m.dir, "push-")
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"from.yaml": "server:\n- {appname: live, live: true, hls: false, flv: true, api: true, static_push: [" + strings.Join(urls, ", ") + "]}\n",
		"to.yaml":   "gop_num: 0\nrtmp_noauth: true\nhttpflv_addr: ''\nhls_addr: ''\napi_addr: ''\nserver:\n" + strings.Join(apps, ""),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	t.command = append(t.command, "--config_file", filepath.Join(dir, "from.yaml"))
	t.beside = []*target{{
		command: []string{m.livego, "--config_file", filepath.Join(dir, "to.yaml"), "--rtmp_addr", m.pushTarget(), "--data_dir", filepath.Join(dir, "data"), "--level", "error"},
		listens: []string{m.pushTarget()},
	}}
	t.sound = m.pushed
	return t, nil
}

// pushed says whether all pushes began at once, held, skipped nothing, and took as much as a player
// would have got.
func (m *measurement) pushed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.apiAddr+"/metrics", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	count := func(name string) float64 {
		found := regexp.MustCompile(`(?m)^livego_relay_` + name + `_total\{direction="push"\} (\S+)`).FindSubmatch(text)
		if found == nil {
			return -1
		}
		n, _ := strconv.ParseFloat(string(found[1]), 64) // 0 is as wrong
		return n
	}
	least := float64(pushes) * streamRate * m.duration.Seconds()
	if tries, failures, skipped, sent := count("attempts"), count("failures"), count("skipped_units"), count("bytes"); tries != pushes || failures != 0 || skipped != 0 || sent < least {
		return fmt.Errorf("%.0f pushes, %.0f failures, %.0f units skipped, %.0f bytes sent of %.0f", tries, failures, skipped, sent, least)
	}
	return nil
}

// recorder is livego with recordings in a folder of its own.
type recorder struct{ livego }

var _ kind = recorder{}

func (k recorder) command(m *measurement, args []string) (*target, error) {
	t, err := k.livego.command(m, args)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(m.dir, "recordings-")
	if err != nil {
		return nil, err
	}
	t.command = append(t.command, "--record", "all", "--record_to", dir)
	t.sound = func(context.Context) error {
		defer os.RemoveAll(dir) // rounds are many
		if found, err := filepath.Glob(filepath.Join(dir, "live", "*", "*", "index.m3u8")); err != nil || len(found) == 0 {
			return fmt.Errorf("nothing was recorded (%v)", err)
		}
		return nil
	}
	return t, nil
}

// The rows of the record scenario by their places: what a packager of CMAF costs is the second one
// less the first.
const rowTS, rowCMAF = 0, 1

// packagerShare is what a row needs more than that with CMAF, as a share of what CMAF needs more
// than MPEG-TS alone.
func packagerShare(m *measurement, r *result) string {
	if r == &m.results[rowTS] || r == &m.results[rowCMAF] {
		return "–"
	}
	var shares []float64
	ts, cmaf := m.results[rowTS].of(cores), m.results[rowCMAF].of(cores)
	for i, c := range r.of(cores) {
		packager := cmaf[i] - ts[i]
		if packager <= 0 {
			return "–" // so much noise
		}
		shares = append(shares, (c-cmaf[i])/packager)
	}
	return spreadOf(shares).text("%.2f")
}

var perStreamColumn = figure("CPU per stream, µs a second", "%.0f", func(r *bench.Report) float64 {
	return r.Server.Cores / float64(r.Streams) * 1e6
})
