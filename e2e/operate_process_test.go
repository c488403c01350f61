package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCommandLine runs what ends by itself.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		arguments string
		fails     bool
		want      string
	}{
		{"--version", false, `(?i)livego`},
		{"--help", false, `rtmp_addr`},
		{"-h", false, `rtmp_addr`},
		{"check-config", false, ``},
		{"--no_such_flag", true, `no_such_flag`},
		{"--level loud", true, `level`},
		{"--rtmp_addr nonsense", true, `nonsense`},
		{"--rtmp-addr nonsense", true, `nonsense`},
	} {
		output, err := runIn(t, dir, nil, strings.Fields(test.arguments)...)
		if (err != nil) != test.fails {
			t.Errorf("livego %s: %v: %s", test.arguments, err, output)
		}
		if !regexp.MustCompile(test.want).MatchString(output) {
			t.Errorf("livego %s says nothing of %s: %s", test.arguments, test.want, output)
		}
	}
}

// TestSample starts with the sample of the configuration, as it is.
func TestSample(t *testing.T) {
	t.Parallel()
	sample, err := filepath.Abs("../livego.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if output, err := runIn(t, t.TempDir(), nil, "check-config", "--config_file", sample); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

// TestOccupiedPort takes each port in turn: the server names it and ends.
func TestOccupiedPort(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"RTMP_ADDR", "HTTPFLV_ADDR", "HLS_ADDR", "API_ADDR"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := listener.Addr().String()
		output, err := runIn(t, t.TempDir(), []string{variable + "=" + address})
		if err == nil || !strings.Contains(output, address) {
			t.Errorf("%s is taken: %v: %s", variable, err, output)
		}
		listener.Close()
	}
}

// TestDataDirNotWritable: the error names the option.
func TestDataDirNotWritable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := runIn(t, t.TempDir(), nil, "--data_dir", file+"/data"); err == nil || !strings.Contains(output, "data_dir") {
		t.Errorf("%v: %s", err, output)
	}
}

// TestSigterm stops a server with publishers and players of all protocols: it ends within 5 s (8 s
// with the race detector), cleanly.
func TestSigterm(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := start(t, "--hls_segment_duration", "1")
		publish(t, s, s.key(t, "m"), flvClip(t, "h264-aac", 5), pacing{loop: true})
		s.waitOnAir(t, "m")
		list := watchHLS(t, s, "m")
		list.waitSegments(t, 1)
		viewers := []*viewer{watchRTMP(t, s, "m"), watchFLV(t, s, "m"), watchWS(t, s, "m"), watchRTMP(t, s, "nobody")}
		viewers[0].waitFrames(t, 10)
		plain(t, s.rtmp, "")
		plain(t, s.hls, "GET / HTTP/1.1\r\n")
		_, before, _ := s.fetch(t, s.hlsURL("m"))
		_ = s.command.Process.Signal(signal)
		select {
		case <-s.ended:
		case <-time.After(stopLimit):
			t.Fatalf("still there after %v: %s", signal, s.goroutineDump())
		}
		s.stopped = true
		if s.exit != nil {
			t.Errorf("%v: exit: %v", signal, s.exit)
		}
		if strings.Contains(before, "ENDLIST") {
			t.Error("the playlist on air is an ended one")
		}
		for _, v := range viewers {
			select {
			case <-v.ended:
			case <-time.After(time.Second):
				t.Errorf("%s is still connected", v.name)
			}
		}
	}
}

// TestKeyCommands manages keys from the command line, through the running server.
func TestKeyCommands(t *testing.T) {
	t.Parallel()
	s := start(t)
	run := func(arguments ...string) (string, error) {
		command := exec.Command(setting(t, "LIVEGO_BIN"), append([]string{"key"}, arguments...)...)
		command.Dir = s.dir
		command.Env = append(os.Environ(), "API_ADDR="+s.api)
		output, err := command.Output() // the key alone; what is said to people goes to the standard error
		return strings.TrimSpace(string(output)), err
	}
	key := s.key(t, "m")
	if got, err := run("get", "m"); err != nil || got != key {
		t.Errorf("get: %v: %s", err, got)
	}
	renewed, err := run("reset", "m")
	if err != nil || renewed == key || s.key(t, "m") != renewed {
		t.Errorf("reset: %v: %s", err, renewed)
	}
	own := strings.Repeat("Own0", 12)
	if got, err := run("set", "m", own); err != nil || s.key(t, "m") != own {
		t.Errorf("set: %v: %s", err, got)
	}
	if got, err := run("delete", "m"); err != nil {
		t.Errorf("delete: %v: %s", err, got)
	}
	if got, err := run("delete", "m"); err == nil {
		t.Errorf("the second delete succeeds: %s", got)
	}
}

// TestNoAuth publishes without keys.
func TestNoAuth(t *testing.T) {
	t.Parallel()
	s := start(t, "--rtmp_noauth")
	tags := flvClip(t, "h264-aac", 5)
	publish(t, s, "anything", tags, pacing{loop: true})
	s.waitOnAir(t, "anything")
	key := s.key(t, "room") // a known key still means its room
	publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, "room")
	if s.onAir(t, key) {
		t.Error("the key is listed as a stream")
	}
}

// TestNotRTMP sends an HTTP request to the RTMP port: the answer says where to go.
func TestNotRTMP(t *testing.T) {
	t.Parallel()
	s := shared(t)
	status, body, _ := s.fetch(t, "http://"+s.rtmp+"/live/m.flv")
	if status < 400 || !strings.Contains(strings.ToLower(body), "rtmp") {
		t.Errorf("it answers %d %q", status, body)
	}
}

// TestTLS publishes over RTMPS and watches over HTTPS.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, key := selfSigned(t, dir)
	s := start(t, "--enable_rtmps", "--rtmps_cert", certificate, "--rtmps_key", key, "--hls_segment_duration", "1")
	encoder := launch(t, "ffmpeg", "-v", "error", "-re", "-i", clip(t, "h264-aac", 5, "flv"), "-c", "copy", "-f", "flv",
		"rtmps://"+s.rtmp+"/live/"+s.key(t, "m"))
	s.waitOnAir(t, "m")
	v := watchFLV(t, s, "m")
	player := launch(t, "ffmpeg", "-v", "error", "-i", "rtmps://"+s.rtmp+"/live/m", "-c", "copy", "-f", "framemd5", "-")
	encoder.succeed(t, 20*time.Second)
	comparison{}.check(t, "HTTP-FLV", bodiesOf(flvClip(t, "h264-aac", 5)), bodiesOf(v.waitEnd(t, 5*time.Second)))
	player.succeed(t, 10*time.Second)
	if n := strings.Count(player.output.String(), "\n0,"); n < 50 {
		t.Errorf("over RTMPS %d pictures came", n)
	}
}

// TestHTTPS serves HLS by HTTPS.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.dir = t.TempDir()
	certificate, key := selfSigned(t, s.dir)
	for from, to := range map[string]string{certificate: "server.crt", key: "server.key"} { // where LiveGo has them
		if err := os.Rename(from, filepath.Join(s.dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	s.launch(t, raceBinary(t), nil, "--use_hls_https", "--hls_segment_duration", "1")
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	publish(t, s, s.key(t, "m"), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, "m")
	client := http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("https://" + s.hls + "/live/m.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("HTTPS answers %s", answer.Status)
	}
}

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t testing.TB, dir string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "own.crt"), filepath.Join(dir, "own.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// TestConnectionLimit opens more connections from one address than it may have: the ones too many
// are closed, and it goes on.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	s := start(t, "--max_connections_per_addr", "10")
	publish(t, s, s.key(t, "m"), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, "m")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	closed := 0
	for range 20 {
		conn := plain(t, s.rtmp, "")
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
			closed++
		}
		if closed > 0 {
			conn.Close()
		}
	}
	if closed < 8 {
		t.Errorf("%d of 20 connections were refused", closed)
	}
}
