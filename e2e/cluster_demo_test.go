package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestClusterDemo runs `make cluster-demo`, watches by the links that it prints, kills the home as
// it says, watches on at another node, and ends it.
func TestClusterDemo(t *testing.T) {
	t.Parallel()
	output, err := os.CreateTemp(work, "cluster-demo-")
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	script, err := filepath.Abs("../scripts/cluster-demo.sh")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(script)
	command.Stdout, command.Stderr = output, output
	// On a busy machine FFmpeg needs long to begin anew.
	command.Env = append(os.Environ(), "LIVEGO_BIN="+setting(t, "LIVEGO_BIN"), "REPUBLISH_GRACE=60s")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	said := func() string { text, _ := os.ReadFile(output.Name()); return string(text) }
	defer func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // what has not ended
		if t.Failed() {
			t.Logf("the demo said:\n%s", said())
		}
	}()

	kill := regexp.MustCompile(`kill -9 (\d+)\n`)
	eventually(t, 20*time.Second, "how to kill the home", func() bool { return kill.MatchString(said()) })
	links := regexp.MustCompile(`node \d +http://(\S+)/live/demo/ +(http://\S+/live/demo\.flv) `).FindAllStringSubmatch(said(), -1)
	if len(links) != 3 {
		t.Fatalf("links: %q", links)
	}
	for _, link := range links {
		node := &server{hls: link[1]}
		waitPlaylist(t, node.hlsURL("demo"))
	}
	v := watchFLVAt(t, links[2][2])
	v.waitFrames(t, 50)
	home, _ := strconv.Atoi(kill.FindStringSubmatch(said())[1])
	if err := syscall.Kill(home, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	v.waitFrames(t, 150) // more than what was on its way
	v.going(t)
	v.leave()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(slack * 10 * time.Second):
		t.Error("it does not end")
	}
	for _, link := range links {
		if nc, err := net.Dial("tcp", link[1]); err == nil {
			nc.Close()
			t.Errorf("%s is still there", link[1])
		}
	}
}
