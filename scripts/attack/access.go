//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"livego/internal/rtmp"
)

// accessAttacks are those on what decides who may come.
func accessAttacks() []attack {
	return []attack{
		{name: "tokens", prepare: tokenConfig, run: tokens},
		{name: "hooks", prepare: hookConfig, run: hooks},
		{name: "proxy-headers", flags: []string{"--proxy_protocol", "--trusted_proxies", "127.0.0.1"}, run: proxyHeaders},
	}
}

// apps are those of a configuration.
const apps = "server:\n- {appname: live, live: true, hls: true, flv: true, api: true}\n"

// tokenSecret signs tokens with the kid a.
const tokenSecret = "0123456789abcdef0123456789abcdef"

// tokenConfig writes a configuration with two keys, the public one in tokenKey.
func tokenConfig(dir string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, tokenKey)
	text := "viewer_auth: token\nviewer_keys:\n- {kid: a, algorithm: HS256, secret: " + tokenSecret + "}\n- {kid: site, algorithm: ES256, file: " + file + "}\n"
	return text + apps, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

const tokenKey = "site.pem"

// signed makes a token.
func signed(method jwt.SigningMethod, key any, kid, id string) string {
	t := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "live/movie", "exp": time.Now().Add(time.Hour).Unix(), "jti": id})
	t.Header["kid"] = kid
	text, err := t.SignedString(key)
	if err != nil {
		return err.Error() // a kind of wrong token too
	}
	return text
}

const (
	// badTokens are shown of each wrong kind, one after the other.
	badTokens = 100
	// tokenPeriod is for how long so many viewers at a time show new tokens.
	tokenPeriod, tokenViewers = 5 * time.Second, 32
)

// tokens shows tokens of every wrong kind, and floods of new ones.
func tokens(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	public, err := os.ReadFile(filepath.Join(s.command.Dir, tokenKey))
	if err != nil {
		return err
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	hs := jwt.SigningMethodHS256
	wrong := map[string]string{
		"none":       signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "a", "1"),
		"public key": signed(hs, public, "site", "1"),
		"kid":        signed(hs, []byte(tokenSecret), "../a", "1"),
		"long":       signed(hs, []byte(tokenSecret), "a", strings.Repeat("x", 9<<10)),
		"stranger":   signed(jwt.SigningMethodES256, stranger, "site", "1"),
	}
	good := s.hlsURL("/~" + signed(hs, []byte(tokenSecret), "a", "viewer") + "/live/movie.m3u8")
	if status, _, err := s.get(good, 15*time.Second); err != nil || status != http.StatusOK {
		return fmt.Errorf("a right token: %d %v", status, err)
	}
	var opened int
	before := s.cpu()
	for _, token := range wrong {
		for range badTokens {
			if status, _, err := s.get(s.hlsURL("/~"+token+"/live/movie.m3u8"), 5*time.Second); err == nil && status == http.StatusOK {
				opened++
			}
		}
	}
	each := (s.cpu() - before).Seconds() * 1000 / float64(len(wrong)*badTokens)
	memory := s.memory()
	shown := s.showTokens(func(i int) string {
		if i%2 == 0 {
			return signed(hs, []byte(tokenSecret), "a", fmt.Sprint(i))
		}
		return signed(jwt.SigningMethodES256, stranger, "site", fmt.Sprint(i))
	})
	r.did("%d tokens each with alg none, an HS256 over the public key, an unknown kid, 9 KB, and a stranger's key; %d new ones in %v, half of them forged", badTokens, shown, tokenPeriod)
	r.atMost("opened by wrong ones", float64(opened), 0, "")
	r.atMost("CPU time for a wrong one", each, 3, "ms")
	r.atMost("memory more", s.memory()-memory, 64, "MB")
	r.atMost("a viewer with a token waits", s.took(func(context.Context) error {
		status, _, err := s.get(good, 10*time.Second)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	}).Seconds(), 1, "s")
	return nil
}

// showTokens asks for a playlist with one new token after the other, for a while.
func (s *server) showTokens(token func(i int) string) (n int64) {
	var shown atomic.Int64
	var all sync.WaitGroup
	client := s.client(5 * time.Second)
	defer client.CloseIdleConnections()
	until := time.Now().Add(tokenPeriod)
	for range tokenViewers {
		all.Go(func() {
			for time.Now().Before(until) {
				response, err := client.Get(s.hlsURL("/~" + token(int(shown.Add(1))) + "/live/movie.m3u8"))
				if err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			}
		})
	}
	all.Wait()
	return shown.Load()
}

// receiver answers hooks as its path says.
func receiver() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "huge"): // 1 GB
			piece := make([]byte, 1<<20)
			for range 1 << 10 {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		case strings.Contains(string(body), "drip"): // a byte now and then
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte{' '})
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		case r.URL.Path == "/told", strings.Contains(string(body), "mute"):
			<-r.Context().Done()
		}
	}))
}

// hookConfig has a receiver answer the hooks of the attack, for as long as this program runs.
func hookConfig(string) (string, error) {
	url := receiver().URL
	return "hook_url: [" + url + "/told]\npublish_auth_url: " + url + "/asked\nhook_secret: " + tokenSecret + "\nhook_timeout: 2s\n" + apps, nil
}

// asked is how many publishers wait for each kind of answer.
const asked = 50

// hooks has encoders asked about by receivers that answer without end, or not at all.
func hooks(ctx context.Context, s *server, r *report) error {
	before := s.memory()
	var all sync.WaitGroup
	var longest, taken atomic.Int64
	for _, kind := range []string{"huge", "drip", "mute"} {
		for i := range asked {
			all.Go(func() {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
				defer cancel()
				if client, err := rtmp.Dial(ctx, "rtmp://"+s.rtmp+"/live/"+fmt.Sprint(kind, i), rtmp.ClientOptions{ReadTimeout: 30 * time.Second}); err == nil {
					if client.Publish(ctx, "") == nil {
						taken.Add(1)
					}
					client.Close()
				}
				for took := int64(time.Since(begin)); ; {
					if old := longest.Load(); took <= old || longest.CompareAndSwap(old, took) {
						return
					}
				}
			})
		}
	}
	time.Sleep(time.Second)
	another := s.took(func(ctx context.Context) error { return s.publish(ctx, "movie") })
	most := s.memory()
	all.Wait()
	r.did("%d encoders at a time are asked about at a receiver that answers 1 GB, as many at one that drips and one that hangs; events go to one that hangs", asked)
	r.atMost("a publisher of whom it is answered waits", another.Seconds(), 10, "s") // most of it is this program at work
	r.atMost("the others wait", time.Duration(longest.Load()).Seconds(), 15, "s")
	r.atMost("of them on air", float64(taken.Load()), 0, "")
	r.atMost("memory more", max(most, s.memory())-before, 64, "MB")
	return nil
}

const (
	// slowHeaders are connections of proxies that say byte by byte for whom they speak.
	slowHeaders, brokenHeaders = 900, 500
)

// proxyHeaders sends PROXY headers of every wrong kind.
func proxyHeaders(ctx context.Context, s *server, r *report) error {
	before := s.memory()
	send := func(addr, text string) net.Conn {
		conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			return nil
		}
		_, _ = conn.Write([]byte(text))
		return conn
	}
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	var kept int
	for i := range brokenHeaders {
		for _, text := range []string{"PROXY TCP4 1.2.3.4 nonsense 1 2\r\n", "PROXY TCP6 " + strings.Repeat("f", 5000), v2 + "\x21\x11\xff\xff" + strings.Repeat("x", 70_000)} {
			conn := send([]string{s.rtmp, s.hls}[i%2], text)
			if conn == nil {
				continue
			}
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
				kept++
			}
			conn.Close()
		}
	}
	var slow []net.Conn
	for i := range slowHeaders {
		if conn := send([]string{s.rtmp, s.hls}[i%2], "P"); conn != nil {
			slow = append(slow, conn)
			defer conn.Close()
		}
	}
	wait := s.took(func(ctx context.Context) error { return s.publish(ctx, "movie") })
	most := s.memory()
	_ = slow[0].SetReadDeadline(time.Now().Add(15 * time.Second))
	begin := time.Now()
	_, _ = slow[0].Read(make([]byte, 1))
	r.did("%d broken and too long headers of each of three kinds, %d of which no more than a byte comes", brokenHeaders, slowHeaders)
	r.atMost("broken ones that stay", float64(kept), 0, "")
	r.atMost("a new publisher waits", wait.Seconds(), 2, "s")
	r.atMost("slow ones stay for", time.Since(begin).Seconds(), 6, "s")
	r.atMost("memory more", most-before, 32, "MB")
	return nil
}
