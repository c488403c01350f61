package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDemo runs `livego demo` and follows the links that it prints.
func TestDemo(t *testing.T) {
	t.Parallel()
	output, err := os.CreateTemp(work, "demo-")
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	command := exec.Command(setting(t, "LIVEGO_BIN"), "demo")
	command.Dir, command.Stdout, command.Stderr = t.TempDir(), output, output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	said := func() string { text, _ := os.ReadFile(output.Name()); return string(text) }
	defer func() {
		_ = command.Process.Kill()
		if t.Failed() {
			t.Logf("livego demo said:\n%s", said())
		}
	}()

	page := regexp.MustCompile(`http://\S+/live/demo/`)
	eventually(t, 20*time.Second, "the link of the watch page", func() bool { return page.MatchString(said()) })
	text := said()
	for _, want := range []string{`ffplay .*rtmp://\S+/live/demo`, `vlc \S*(rtmp|http)://\S+/live/demo`, `http://\S+/live/demo\.flv`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("it says nothing like %s", want)
		}
	}
	flv := watchFLVAt(t, regexp.MustCompile(`http://\S+/live/demo\.flv`).FindString(text))
	defer flv.leave()
	eventually(t, 20*time.Second, "more than one round of the clip", func() bool {
		tags := flv.tags()
		return len(tags) > 0 && tags[len(tags)-1].time > firstOf(tags, typeVideo).time+9000
	})
	got := flv.tags()
	rising(t, "HTTP-FLV", got)
	gapless(t, "HTTP-FLV", got, 100)
	clip := readFLV(t, "../internal/demo/clip.flv")
	for _, next := range clip { // the second round follows the first without a seam
		if next.kind != typeData && !next.isHeader() {
			again := next
			again.time += 8000
			clip = append(clip, again)
		}
	}
	comparison{}.check(t, "HTTP-FLV", bodiesOf(append(clip, thirdRound(clip)...)), bodiesOf(got))
	waitPlaylist(t, strings.TrimSuffix(page.FindString(text), "/")+".m3u8")
	watchMoves(t, page.FindString(text), "demo")

	_ = command.Process.Signal(syscall.SIGINT)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("exit: %v", err)
		}
	case <-time.After(stopLimit):
		t.Error("it does not end on SIGINT")
	}
	if strings.Contains(said(), "panic") {
		t.Error("it panicked")
	}
}

func thirdRound(clip []tag) (round []tag) {
	for _, next := range clip {
		if next.kind != typeData && !next.isHeader() && next.time >= 8000 {
			next.time += 8000
			round = append(round, next)
		}
	}
	return round
}
