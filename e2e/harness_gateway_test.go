package e2e

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The credentials of the gateway.
const gatewayKey, gatewaySecret = "soundgarden", "spoonmanspoonman"

// gatewayEnv is what a server needs to know to use the gateway.
func gatewayEnv(secret string) []string {
	return []string{"AWS_ACCESS_KEY_ID=" + gatewayKey, "AWS_SECRET_ACCESS_KEY=" + secret}
}

// gateway is an S3 server, versitygw, with one bucket, which is a folder.
type gateway struct {
	address string
	// bucket is the folder.
	bucket  string
	command []string
	*program
}

// startGateway runs one. Tests that need it run where VERSITYGW names the program (make e2e-s3).
func startGateway(t testing.TB) *gateway {
	t.Helper()
	g := newGateway(t)
	g.up(t)
	return g
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	versitygw := os.Getenv("VERSITYGW")
	if versitygw == "" {
		t.Skip("VERSITYGW is not set: make e2e-s3 runs this test")
	}
	dir := t.TempDir()
	g := &gateway{address: freeAddress(t), bucket: filepath.Join(dir, "buckets", "recordings")}
	sidecar := filepath.Join(dir, "sidecar") // so that the file system needs no extended attributes
	for _, folder := range []string{g.bucket, sidecar} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	g.command = []string{versitygw, "--quiet", "--access", gatewayKey, "--secret", gatewaySecret, "--port", g.address,
		"posix", "--sidecar", sidecar, filepath.Dir(g.bucket)}
	return g
}

// up runs the gateway until down, or the end of the test.
func (g *gateway) up(t testing.TB) {
	t.Helper()
	g.program = launch(t, g.command[0], g.command[1:]...)
	eventually(t, 20*time.Second, "the gateway listens", func() bool {
		conn, err := net.Dial("tcp", g.address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// small lets the gateway have a file system of its own of so many bytes ("4m") for its files.
func (g *gateway) small(size string) {
	folder := filepath.Dir(g.bucket)
	script := `set -e; folder=$1 bucket=$2; shift 2; mount -t tmpfs -o size=` + size + `,mode=700 none "$folder"; mkdir "$bucket"; exec "$@"`
	g.command = append([]string{"unshare", "-r", "-m", "sh", "-c", script, "sh", folder, g.bucket}, g.command...)
}

// location is record_to, over a link if that is not "".
func (g *gateway) location(link string) string {
	if link == "" {
		link = g.address
	}
	return "s3://recordings/some/where?endpoint=http://" + link + "&region=us-east-1&path_style=true"
}

// stored is the folder that location leads to.
func (g *gateway) stored() string { return filepath.Join(g.bucket, "some", "where") }

// files are all that are stored, with what a server that was killed left unfinished.
func (g *gateway) files() (all []string) {
	_ = filepath.WalkDir(g.bucket, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, g.bucket+"/"))
		}
		return nil
	})
	return all
}

// slowLink passes connections on to an address, so many bytes a second of each to there.
func slowLink(t testing.TB, to string, rate int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			_ = near.(*net.TCPConn).SetReadBuffer(16 << 10)
			go func() {
				_, _ = io.Copy(far, &slowReader{near, rate, time.Now(), 0}) // either side may leave
				far.Close()
			}()
			go func() {
				_, _ = io.Copy(near, far)
				near.Close()
			}()
		}
	}()
	return listener.Addr().String()
}
