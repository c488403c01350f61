package keys

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"livego/internal/property"
)

func TestMain(m *testing.M) {
	property.Fix()
	if path := os.Getenv(crashFileEnv); path != "" {
		writeUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// backend opens a store as two nodes see it; they are the same store where there is one node only.
type backend struct {
	name string
	open func(t *testing.T, o Options) (a, b Store)
}

func backends() []backend {
	list := []backend{
		{"memory", func(t *testing.T, o Options) (Store, Store) { return one(NewMemory(o)) }},
		{"file", func(t *testing.T, o Options) (Store, Store) {
			return one(openFile(t, filepath.Join(t.TempDir(), "k.db"), o))
		}},
		{"miniredis", func(t *testing.T, o Options) (Store, Store) {
			o.RedisAddr = miniredis.RunT(t).Addr()
			return openRedis(t, o), openRedis(t, o)
		}},
	}
	if _, err := exec.LookPath("redis-server"); err == nil {
		list = append(list, backend{"redis-server", func(t *testing.T, o Options) (Store, Store) {
			o.RedisAddr = startRedis(t, t.TempDir(), freeAddr(t)).addr
			return openRedis(t, o), openRedis(t, o)
		}})
	}
	return list
}

func one(s Store) (a, b Store) { return s, s }

func openFile(t *testing.T, path string, o Options) Store {
	t.Helper()
	s, err := OpenFile(path, o)
	return closeAfter(t, s, err)
}

func openRedis(t *testing.T, o Options) Store {
	t.Helper()
	s, err := OpenRedis(o)
	return closeAfter(t, s, err)
}

func closeAfter(t *testing.T, s Store, err error) Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// forEachBackend runs the test for each backend.
func forEachBackend(t *testing.T, o Options, test func(t *testing.T, a, b Store)) {
	for _, backend := range backends() {
		t.Run(backend.name, func(t *testing.T) {
			t.Parallel()
			o := o
			o.Log = testLog(t)
			a, b := backend.open(t, o)
			test(t, a, b)
		})
	}
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// settle makes Redis stores look for revocations now, as they do every 30 s; others have nothing to
// look for.
func settle(t *testing.T, stores ...Store) {
	t.Helper()
	for _, s := range stores {
		if s, ok := s.(*redisStore); ok {
			if err := s.recheckAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// redisServer is a real Redis that the test started.
type redisServer struct {
	addr string
	cmd  *exec.Cmd
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startRedis starts a Redis that keeps its data in dir and returns when it takes connections.
func startRedis(t *testing.T, dir, addr string, args ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH")
	}
	_, port, _ := net.SplitHostPort(addr)
	args = append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"}, args...)
	cmd := exec.Command("redis-server", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &redisServer{addr, cmd}
	t.Cleanup(s.kill)
	lines := bufio.NewScanner(out)
	var log strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&log, lines.Text())
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			return s
		}
	}
	t.Fatalf("redis-server ended:\n%s", &log)
	return nil
}

func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// eventually asks until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

func wantRevoked(t *testing.T, l *Lease) {
	t.Helper()
	select {
	case <-l.Revoked():
	case <-time.After(patience):
		t.Fatalf("the lease of room %q was not revoked", l.Room)
	}
}

func wantHeld(t *testing.T, l *Lease) {
	t.Helper()
	if l.isRevoked() {
		t.Fatalf("the lease of room %q was revoked", l.Room)
	}
}
